//! From the bytes of tokens to the text that a person reads.
//!
//! A token may end in the middle of a character, and a stop string may be spread over several
//! tokens, so an [`Emitter`] holds back what is not decided yet.
//!
//! Invariant: however the bytes are cut into pieces, the texts that come out, joined, are the
//! whole text up to the stop string that is complete first.

/// Turns pieces of bytes into pieces of text that end before a stop string.
#[derive(Debug, Clone)]
pub struct Emitter {
    stops: Vec<String>,
    /// The beginning of a character whose end has not come yet; at most three bytes.
    partial: Vec<u8>,
    /// Text that may be the beginning of a stop string.
    held: String,
    stopped: bool,
}

/// What may be shown after another piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emitted {
    /// New text; often empty.
    pub text: String,
    /// Whether a stop string is complete; nothing comes any more.
    pub stopped: bool,
}

// === impl Emitter ===

impl Emitter {
    /// Begins a text that ends before any of these strings; empty ones never stop it.
    pub fn new(stop: &[String]) -> Self {
        Self {
            stops: stop
                .iter()
                .filter(|stop| !stop.is_empty())
                .cloned()
                .collect(),
            partial: Vec::new(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Takes the bytes of the next token.
    pub fn push(&mut self, bytes: &[u8]) -> Emitted {
        if self.stopped {
            return Emitted {
                text: String::new(),
                stopped: true,
            };
        }
        self.decode(bytes);
        if let Some(start) = self.first_stop() {
            self.held.truncate(start);
            self.stopped = true;
            return Emitted {
                text: std::mem::take(&mut self.held),
                stopped: true,
            };
        }
        let keep = self.held.len() - self.doubtful();
        let rest = self.held.split_off(keep);
        Emitted {
            text: std::mem::replace(&mut self.held, rest),
            stopped: false,
        }
    }

    /// Gives what was held back, once no more tokens come.
    pub fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        self.stopped = true;
        if !self.partial.is_empty() {
            self.partial.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
            // A stop string may hold that very character.
            if let Some(start) = self.first_stop() {
                self.held.truncate(start);
            }
        }
        std::mem::take(&mut self.held)
    }

    /// Moves whole characters into `held`, in the manner of [`String::from_utf8_lossy`].
    fn decode(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut rest = self.partial.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    self.held.push_str(
                        std::str::from_utf8(valid).expect("valid up to here, as the error says"),
                    );
                    rest = after;
                    let Some(bad) = error.error_len() else { break };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[bad..];
                }
            }
        }
        self.partial = rest.to_vec();
    }

    /// Where the stop string begins that is complete first; of several, the longest.
    fn first_stop(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| {
                self.held
                    .find(stop.as_str())
                    .map(|at| (at + stop.len(), at))
            })
            .min()
            .map(|(_, start)| start)
    }

    /// How many bytes at the end may be the beginning of a stop string.
    fn doubtful(&self) -> usize {
        let text = self.held.as_bytes();
        self.stops
            .iter()
            .map(|stop| {
                let stop = stop.as_bytes();
                let most = (stop.len() - 1).min(text.len());
                (1..=most)
                    .rev()
                    .find(|&n| text.ends_with(&stop[..n]))
                    .unwrap_or(0)
            })
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stops(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn run(stop: &[String], pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut emitter = Emitter::new(stop);
        let mut out = Vec::new();
        let mut stopped = false;
        for piece in pieces {
            let emitted = emitter.push(piece);
            stopped = emitted.stopped;
            out.push(emitted.text);
        }
        out.push(emitter.finish());
        (out, stopped)
    }

    #[test]
    fn a_character_comes_when_it_is_whole() {
        let (out, _) = run(&[], &[b"a\xf0\x9f", b"\x98", b"\x80b"]);
        assert_eq!(out, ["a", "", "😀b", ""]);
    }

    #[test]
    fn invalid_bytes_are_replaced_once() {
        let (out, _) = run(&[], &[b"a\xff", b"\xe4\xbd", b"x", b"\xe4\xbd"]);
        assert_eq!(out, ["a\u{fffd}", "", "\u{fffd}x", "", "\u{fffd}"]);
    }

    #[test]
    fn a_stop_string_over_several_tokens_never_shows() {
        let (out, stopped) = run(
            &stops(&["\nUser:"]),
            &[b"Hi.\n", b"Us", b"er", b": and more"],
        );
        assert_eq!(
            (out, stopped),
            (
                vec![
                    "Hi.".into(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new()
                ],
                true
            )
        );
    }

    #[test]
    fn what_only_looked_like_a_stop_string_is_given_back() {
        let (out, stopped) = run(&stops(&["\nUser:"]), &[b"\nUse", b"ful", b"\nUser"]);
        assert_eq!(
            (out, stopped),
            (
                vec![
                    String::new(),
                    "\nUseful".into(),
                    String::new(),
                    "\nUser".into()
                ],
                false
            )
        );
    }

    #[test]
    fn the_stop_string_that_is_complete_first_wins() {
        let (out, stopped) = run(&stops(&["abcd", "bc", ""]), &[b"xabcd"]);
        assert_eq!((out.concat().as_str(), stopped), ("xa", true));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_whole_text_up_to_the_first_stop(
            bytes in prop::collection::vec(
                prop_oneof![4 => Just(b'a'), 4 => Just(b'b'), 1 => Just(0xe4_u8), 1 => Just(0xbd),
                            1 => Just(0xa0), 1 => Just(0xf0), 1 => Just(0xff)],
                0..60,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            stop in prop::collection::vec("[ab你\u{fffd}]{0,3}", 0..3),
        ) {
            let whole = String::from_utf8_lossy(&bytes).into_owned();
            let expected = (0..=whole.len())
                .filter(|&end| whole.is_char_boundary(end))
                .find_map(|end| {
                    stop.iter()
                        .filter(|stop| !stop.is_empty() && whole[..end].ends_with(stop.as_str()))
                        .map(|stop| end - stop.len())
                        .min()
                })
                .map_or(whole.as_str(), |start| &whole[..start]);

            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(run(&stop, &pieces).0.concat(), expected);
        }
    }
}
