//! SentencePiece: neighbours whose union is a token of the highest score become one, until no
//! union is a token any more.
//!
//! Characters that have no token are written as bytes.
//!
//! Invariant: every merge shortens the text by a piece, so encoding ends after at most as many
//! merges as there are characters.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::ModelFileError;
use crate::tokenizer::metadata::{Metadata, wrong};
use crate::tokenizer::vocab::Vocab;

/// How a space is written in the vocabulary.
const SPACE: char = '\u{2581}';

/// Nobody.
const NONE: usize = usize::MAX;

/// Merges by score.
#[derive(Debug)]
pub(super) struct Spm {
    /// Whether text begins as if after a space.
    space_first: bool,
    /// The token of each byte.
    bytes: Box<[Option<u32>; 256]>,
    unknown: Option<u32>,
}

/// A piece of the text, linked to its neighbours; of length 0 when merged away.
struct Symbol {
    start: usize,
    len: usize,
    prev: usize,
    next: usize,
}

/// Two neighbours whose union is a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Tells whether either has grown in between.
    len: usize,
}

// === impl Spm ===

impl Spm {
    pub(super) fn read(meta: &Metadata<'_>, vocab: &Vocab) -> Result<Self, ModelFileError> {
        if meta.array("tokenizer.ggml.scores")?.is_none() {
            return Err(wrong("tokenizer.ggml.scores", "is missing"));
        }
        let mut bytes = Box::new([None; 256]);
        for byte in 0..=u8::MAX {
            bytes[usize::from(byte)] = vocab.find(&format!("<0x{byte:02X}>"));
        }
        let unknown = meta.token_id("tokenizer.ggml.unknown_token_id", vocab.len())?;
        let space_first = meta
            .flag("tokenizer.ggml.add_space_prefix")?
            .unwrap_or(true);
        Ok(Self {
            space_first,
            bytes,
            unknown,
        })
    }

    /// Appends the tokens of a text; `fresh` when nothing or a special token comes before it.
    pub(super) fn encode(&self, vocab: &Vocab, text: &str, fresh: bool, out: &mut Vec<u32>) {
        let mut escaped = String::with_capacity(text.len() + text.len() / 3 + 3);
        if fresh && self.space_first {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));

        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        for (start, c) in escaped.char_indices() {
            let here = symbols.len();
            symbols.push(Symbol {
                start,
                len: c.len_utf8(),
                prev: here.checked_sub(1).unwrap_or(NONE),
                next: here + 1,
            });
        }
        let Some(last) = symbols.last_mut() else {
            return;
        };
        last.next = NONE;

        merge(vocab, &escaped, &mut symbols);
        let mut at = 0;
        while at != NONE {
            let symbol = &symbols[at];
            let piece = &escaped[symbol.start..symbol.start + symbol.len];
            match vocab.find_text(piece) {
                Some(id) => out.push(id),
                None => out.extend(
                    piece
                        .bytes()
                        .filter_map(|byte| self.bytes[usize::from(byte)].or(self.unknown)),
                ),
            }
            at = symbol.next;
        }
    }
}

fn merge(vocab: &Vocab, text: &str, symbols: &mut [Symbol]) {
    let mut queue = BinaryHeap::with_capacity(symbols.len());
    for right in 1..symbols.len() {
        queue.extend(pair(vocab, text, symbols, right - 1, right));
    }
    while let Some(Pair {
        left, right, len, ..
    }) = queue.pop()
    {
        // Either may have been merged with somebody else since.
        if symbols[left].len == 0
            || symbols[right].len == 0
            || symbols[left].len + symbols[right].len != len
        {
            continue;
        }
        let next = symbols[right].next;
        symbols[right].len = 0;
        symbols[left].len = len;
        symbols[left].next = next;
        if next != NONE {
            symbols[next].prev = left;
        }
        let prev = symbols[left].prev;
        queue.extend(pair(vocab, text, symbols, prev, left));
        queue.extend(pair(vocab, text, symbols, left, next));
    }
}

fn pair(vocab: &Vocab, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
    if left == NONE || right == NONE {
        return None;
    }
    let start = symbols[left].start;
    let len = symbols[left].len + symbols[right].len;
    let id = vocab.find_text(&text[start..start + len])?;
    Some(Pair {
        score: vocab.score(id),
        left,
        right,
        len,
    })
}

/// The bytes of an ordinary token.
pub(super) fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if text.contains(SPACE) {
        Cow::Owned(text.replace(SPACE, " ").into_bytes())
    } else {
        Cow::Borrowed(text.as_bytes())
    }
}

// === impl Pair ===

impl Ord for Pair {
    /// The highest score first, and of equal ones the leftmost.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Pair {}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
