//! Saying how far a download is.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// Is told how far a download is.
pub trait Progress: Send + Sync {
    /// A file begins, of this many bytes if that is known.
    fn start(&self, total: Option<u64>);
    /// That many more bytes are here.
    fn advance(&self, bytes: u64);
    /// No more will come, whether or not the file is whole.
    fn finish(&self);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

/// Says it on standard error: a bar on a terminal, else a line for each tenth.
#[derive(Debug)]
pub struct TerminalProgress {
    label: String,
    state: Mutex<Option<Display>>,
}

#[derive(Debug)]
enum Display {
    Bar(ProgressBar),
    Lines(Lines),
}

#[derive(Debug, Default)]
struct Lines {
    total: Option<u64>,
    done: u64,
    /// Tenths, or steps of 10 MB where the total is not known, that were said.
    said: u64,
}

// === impl Silent ===

impl Progress for Silent {
    fn start(&self, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}

// === impl TerminalProgress ===

impl TerminalProgress {
    /// Names what is fetched.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            state: Mutex::new(None),
        }
    }

    fn say(&self, what: &str) {
        // Nobody to tell is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{}: {what}", self.label);
    }
}

impl Progress for TerminalProgress {
    fn start(&self, total: Option<u64>) {
        let display = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total.unwrap_or(0));
            let template = if total.is_some() {
                "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"
            } else {
                "{msg} {spinner} {bytes} {bytes_per_sec}"
            };
            let style = ProgressStyle::with_template(template).expect("a well-formed template");
            bar.set_style(style.progress_chars("=> "));
            bar.set_message(self.label.clone());
            Display::Bar(bar)
        } else {
            match total {
                Some(total) => self.say(&format!("fetching {} MB", total / 1_000_000)),
                None => self.say("fetching"),
            }
            Display::Lines(Lines {
                total,
                ..Lines::default()
            })
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(display);
    }

    fn advance(&self, bytes: u64) {
        match self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            Some(Display::Bar(bar)) => bar.inc(bytes),
            Some(Display::Lines(lines)) => {
                if let Some(line) = lines.advance(bytes) {
                    self.say(&line);
                }
            }
            None => {}
        }
    }

    fn finish(&self) {
        match self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(Display::Bar(bar)) => bar.finish_and_clear(),
            Some(Display::Lines(_)) | None => {}
        }
    }
}

// === impl Lines ===

impl Lines {
    fn advance(&mut self, bytes: u64) -> Option<String> {
        self.done += bytes;
        let step = match self.total {
            Some(total) if total > 0 => self.done.min(total) * 10 / total,
            _ => self.done / 10_000_000,
        };
        if step <= self.said {
            return None;
        }
        self.said = step;
        Some(match self.total {
            Some(_) => format!("{} %", step * 10),
            None => format!("{} MB", step * 10),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_for_each_tenth() {
        let mut lines = Lines {
            total: Some(1000),
            ..Lines::default()
        };
        let said: Vec<String> = [50, 50, 10, 290, 600, 50]
            .into_iter()
            .filter_map(|n| lines.advance(n))
            .collect();
        assert_eq!(said, ["10 %", "40 %", "100 %"]);
        let mut lines = Lines::default();
        assert_eq!(lines.advance(25_000_000).unwrap(), "20 MB");
    }
}
