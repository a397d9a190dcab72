//! Tokens that are found in the text before anything is merged.
//!
//! Invariant: of several that begin at one place the longest is taken, and control tokens are
//! found only when that is asked for.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::ModelFileError;
use crate::tokenizer::vocab::{Kind, Vocab};

/// A zero-width space: it parts the letters of a control token and is not seen.
const BREAK: char = '\u{200b}';

/// Finds special tokens in text.
#[derive(Debug)]
pub(super) struct Special {
    /// What is always found.
    plain: Finder,
    /// That and the control tokens.
    all: Finder,
    /// The control tokens alone.
    control: Finder,
    /// Whether white space after a control token belongs to it.
    strip: bool,
}

#[derive(Debug)]
struct Finder {
    automaton: Option<AhoCorasick>,
    ids: Vec<u32>,
}

/// A stretch of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Token(u32),
    Text(&'a str),
}

// === impl Special ===

impl Special {
    pub(super) fn new(vocab: &Vocab, strip: bool) -> Result<Self, ModelFileError> {
        let user: Vec<u32> = vocab.ids_of(Kind::UserDefined).collect();
        let control: Vec<u32> = vocab
            .ids_of(Kind::Control)
            .chain(vocab.ids_of(Kind::Unknown))
            .collect();
        let all = user.iter().chain(&control).copied().collect();
        Ok(Self {
            plain: Finder::new(vocab, user)?,
            all: Finder::new(vocab, all)?,
            control: Finder::new(vocab, control)?,
            strip,
        })
    }

    /// Cuts a text at its special tokens.
    pub(super) fn parts<'a>(&self, text: &'a str, control: bool) -> Vec<Part<'a>> {
        let finder = if control { &self.all } else { &self.plain };
        let mut parts = Vec::new();
        let mut from = 0;
        for (id, start, end) in finder.find(text) {
            // Stripping may have eaten into the white space that this token consists of.
            if start < from {
                continue;
            }
            if start > from {
                parts.push(Part::Text(&text[from..start]));
            }
            parts.push(Part::Token(id));
            from = end;
            if self.strip && control && keeps_nothing_after(&text[start..end]) {
                from = text.len() - text[end..].trim_start_matches(is_space).len();
            }
        }
        if from < text.len() {
            parts.push(Part::Text(&text[from..]));
        }
        parts
    }

    /// Breaks up the control tokens in a text.
    pub(super) fn defuse<'a>(&self, text: &'a str) -> Cow<'a, str> {
        defuse_at(text, self.control.find(text).map(|(_, start, _)| start))
    }
}

/// Puts a break behind the first character at each of these places.
pub(super) fn defuse_at(text: &str, starts: impl Iterator<Item = usize>) -> Cow<'_, str> {
    let mut out = String::new();
    let mut from = 0;
    for start in starts {
        let first = text[start..].chars().next().map_or(0, char::len_utf8);
        out.push_str(&text[from..start + first]);
        out.push(BREAK);
        from = start + first;
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[from..]);
    Cow::Owned(out)
}

/// The tokens of models that strip which do not.
fn keeps_nothing_after(token: &str) -> bool {
    !matches!(token, "<unk>" | "<s>" | "<|endoftext|>")
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

// === impl Finder ===

impl Finder {
    fn new(vocab: &Vocab, mut ids: Vec<u32>) -> Result<Self, ModelFileError> {
        ids.retain(|&id| !vocab.text(id).is_empty());
        let automaton = if ids.is_empty() {
            None
        } else {
            let found = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(ids.iter().map(|&id| vocab.text(id)))
                .map_err(|error| {
                    ModelFileError::broken(format!("the special tokens are too many: {error}"))
                })?;
            Some(found)
        };
        Ok(Self { automaton, ids })
    }

    /// The ids found, each with its start and end.
    fn find(&self, text: &str) -> impl Iterator<Item = (u32, usize, usize)> {
        self.automaton.iter().flat_map(move |automaton| {
            automaton.find_iter(text).map(|found| {
                (
                    self.ids[found.pattern().as_usize()],
                    found.start(),
                    found.end(),
                )
            })
        })
    }
}
