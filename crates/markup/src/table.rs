//! Tables: aligned in a block of code where they fit a phone, else a few lines for each row.

use pulldown_cmark::{Alignment, Event};
use unicode_width::UnicodeWidthStr;

/// What a phone shows of monospace text without wrapping, more or less.
const WIDEST: usize = 44;

const BETWEEN: &str = " | ";

/// A table that is being collected.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    alignments: Vec<Alignment>,
    /// Rows of cells of events, the head first.
    pub(crate) rows: Vec<Vec<Vec<Event<'a>>>>,
}

// === impl Table ===

impl<'a> Table<'a> {
    pub(crate) fn new(alignments: Vec<Alignment>) -> Self {
        Self {
            alignments,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self) {
        self.rows.push(Vec::new());
    }

    pub(crate) fn cell(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.push(Vec::new());
        }
    }

    pub(crate) fn event(&mut self, event: Event<'a>) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            cell.push(event);
        }
    }

    /// Draws the table with monospace letters, or gives nothing when it is too wide for that.
    pub(crate) fn draw(&self, cells: &[Vec<String>]) -> Option<String> {
        let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let whole = widths.iter().sum::<usize>() + BETWEEN.len() * columns.saturating_sub(1);
        if whole > WIDEST {
            return None;
        }
        let mut out = String::new();
        for (nth, row) in cells.iter().enumerate() {
            let line: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, width)| {
                    let alignment = self.alignments.get(column).copied();
                    aligned(
                        row.get(column).map_or("", String::as_str),
                        *width,
                        alignment,
                    )
                })
                .collect();
            out.push_str(line.join(BETWEEN).trim_end());
            out.push('\n');
            if nth == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                out.push_str(&rule.join("-+-"));
                out.push('\n');
            }
        }
        Some(out)
    }
}

fn aligned(cell: &str, width: usize, alignment: Option<Alignment>) -> String {
    let room = width.saturating_sub(cell.width());
    let before = match alignment {
        Some(Alignment::Right) => room,
        Some(Alignment::Center) => room / 2,
        _ => 0,
    };
    format!("{}{cell}{}", " ".repeat(before), " ".repeat(room - before))
}
