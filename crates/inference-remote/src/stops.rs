//! Cuts an answer at its stop strings, wherever they fall between pieces of the stream.
//!
//! Endpoints should do this themselves, but OpenAI takes only four stop strings, newer models take
//! none, and some servers let them through.

/// Watches for stop strings in a text that comes in pieces.
///
/// Invariant: nothing that could be the beginning of a stop string is let through before it is
/// known not to be one.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    stops: Vec<String>,
    held: String,
}

/// What may be shown after a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// This, and the answer goes on.
    On(String),
    /// This, and a stop string ends the answer.
    End(String),
}

impl Stops {
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .cloned()
            .collect();
        Self {
            stops,
            held: String::new(),
        }
    }

    pub(crate) fn push(&mut self, piece: &str) -> Passed {
        self.held.push_str(piece);
        if let Some(at) = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop))
            .min()
        {
            self.held.truncate(at);
            return Passed::End(std::mem::take(&mut self.held));
        }
        let keep = self.possible_stop();
        let rest = self.held.split_off(self.held.len() - keep);
        Passed::On(std::mem::replace(&mut self.held, rest))
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of the held text that begins a stop string.
    fn possible_stop(&self) -> usize {
        let begins = |stop: &String| {
            let longest = stop.len().min(self.held.len());
            let ends = (1..=longest)
                .rev()
                .filter(|length| stop.is_char_boundary(*length));
            ends.into_iter()
                .find(|length| self.held.ends_with(&stop[..*length]))
        };
        self.stops.iter().filter_map(begins).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pass(stops: &[String], pieces: &[String]) -> (String, bool) {
        let mut stops = Stops::new(stops);
        let mut shown = String::new();
        for piece in pieces {
            match stops.push(piece) {
                Passed::On(text) => shown.push_str(&text),
                Passed::End(text) => return (shown + &text, true),
            }
        }
        (shown + &stops.finish(), false)
    }

    proptest! {
        #[test]
        fn a_text_is_cut_at_its_first_stop(
            stops in prop::collection::vec("[abé]{0,3}", 0..3),
            pieces in prop::collection::vec("[abcé]{0,4}", 0..12),
        ) {
            let whole = pieces.concat();
            let real = stops.iter().filter(|stop| !stop.is_empty());
            // A stop is known when it is complete, so the one that ends first counts.
            let first = real
                .filter_map(|stop| whole.find(stop.as_str()).map(|at| (at + stop.len(), at)))
                .min();
            let (shown, ended) = pass(&stops, &pieces);
            prop_assert_eq!(ended, first.is_some());
            match first {
                None => prop_assert_eq!(shown, whole),
                Some((_, at)) => {
                    prop_assert!(whole.starts_with(&shown));
                    prop_assert!(shown.len() <= at);
                    prop_assert!(stops.iter().all(|s| s.is_empty() || !shown.contains(s)));
                }
            }
        }
    }
}
