//! Byte-level BPE: text is cut into words, each byte of a word is a symbol, and the neighbours
//! that come first in the list of merges become one until no two of them are in it.
//!
//! The vocabulary writes bytes as visible characters ([`bytes_of`] undoes that).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use candle_core::quantized::gguf_file::Value;

use crate::ModelFileError;
use crate::tokenizer::metadata::{Metadata, wrong};
use crate::tokenizer::split::Split;
use crate::tokenizer::vocab::{Kind, Vocab};

const MERGES: &str = "tokenizer.ggml.merges";

/// Nobody.
const NONE: u32 = u32::MAX;

/// Merges by rank.
#[derive(Debug)]
pub(super) struct Bpe {
    split: Split,
    /// Two tokens to the rank of their merge and the token they become.
    merges: HashMap<(u32, u32), (u32, u32)>,
    /// The token of each byte.
    bytes: Box<[Option<u32>; 256]>,
}

struct Symbol {
    /// `NONE` when merged away, or for a byte that has none.
    token: u32,
    prev: u32,
    next: u32,
}

// === impl Bpe ===

impl Bpe {
    pub(super) fn read(meta: &Metadata<'_>, vocab: &Vocab) -> Result<Self, ModelFileError> {
        let split = Split::by_name(meta.text("tokenizer.ggml.pre")?.unwrap_or("default"))?;
        let list = meta.required_array(MERGES)?;
        let mut merges = HashMap::with_capacity(list.len());
        let mut union = String::new();
        for (rank, merge) in list.iter().enumerate() {
            let Value::String(merge) = merge else {
                return Err(wrong(MERGES, format_args!("[{rank}] is not a text")));
            };
            // The first character may itself be a space.
            let parts = merge
                .char_indices()
                .skip(1)
                .find(|&(_, c)| c == ' ')
                .map(|(at, _)| (&merge[..at], &merge[at + 1..]));
            let Some((left, right)) = parts else {
                return Err(wrong(
                    MERGES,
                    format_args!("[{rank}] is not a pair of tokens"),
                ));
            };
            union.clear();
            union.push_str(left);
            union.push_str(right);
            let id = |text: &str| {
                vocab.find(text).ok_or_else(|| {
                    wrong(
                        MERGES,
                        format_args!("[{rank}] names {text:?}, which is no token"),
                    )
                })
            };
            let (left, right, union) = (id(left)?, id(right)?, id(&union)?);
            // Merges must not be a way for ordinary text to become a control token.
            if vocab.kind(union) != Kind::Control {
                merges.entry((left, right)).or_insert((rank as u32, union));
            }
        }
        let mut bytes = Box::new([None; 256]);
        let mut buffer = [0; 4];
        for byte in 0..=u8::MAX {
            bytes[usize::from(byte)] = vocab.find(char_of(byte).encode_utf8(&mut buffer));
        }
        Ok(Self {
            split,
            merges,
            bytes,
        })
    }

    pub(super) fn adds_bos(&self) -> bool {
        self.split.adds_bos
    }

    /// Appends the tokens of a text.
    pub(super) fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        let mut symbols = Vec::new();
        let mut queue = BinaryHeap::new();
        for word in self.split.words(text) {
            if self.split.whole_words {
                let spelled: String = word.bytes().map(char_of).collect();
                if let Some(id) = vocab.find_text(&spelled) {
                    out.push(id);
                    continue;
                }
            }
            self.encode_word(word, &mut symbols, &mut queue);
            // What was merged away has no token any more.
            out.extend(
                symbols
                    .iter()
                    .map(|symbol| symbol.token)
                    .filter(|&token| token != NONE),
            );
        }
    }

    fn encode_word(
        &self,
        word: &str,
        symbols: &mut Vec<Symbol>,
        queue: &mut BinaryHeap<Reverse<(u32, u32, u32, u32)>>,
    ) {
        symbols.clear();
        queue.clear();
        for (here, byte) in (0..).zip(word.bytes()) {
            // A byte without a token keeps its neighbours apart and is left out in the end.
            let token = self.bytes[usize::from(byte)].unwrap_or(NONE);
            symbols.push(Symbol {
                token,
                prev: u32::wrapping_sub(here, 1),
                next: here + 1,
            });
        }
        let Some(last) = symbols.last_mut() else {
            return;
        };
        last.next = NONE;

        for right in 1..symbols.len() as u32 {
            queue.extend(self.pair(symbols, right - 1, right));
        }
        while let Some(Reverse((_, left, right, union))) = queue.pop() {
            // Either may have been merged with somebody else since.
            let (a, b) = (symbols[left as usize].token, symbols[right as usize].token);
            if symbols[left as usize].next != right
                || self.merges.get(&(a, b)).is_none_or(|&(_, id)| id != union)
            {
                continue;
            }
            let next = symbols[right as usize].next;
            symbols[right as usize].token = NONE;
            symbols[left as usize].token = union;
            symbols[left as usize].next = next;
            if next != NONE {
                symbols[next as usize].prev = left;
            }
            let prev = symbols[left as usize].prev;
            queue.extend(self.pair(symbols, prev, left));
            queue.extend(self.pair(symbols, left, next));
        }
    }

    /// The entry of two neighbours: rank, then place, so that of equal ranks the leftmost is first.
    fn pair(
        &self,
        symbols: &[Symbol],
        left: u32,
        right: u32,
    ) -> Option<Reverse<(u32, u32, u32, u32)>> {
        if left == NONE || right == NONE {
            return None;
        }
        let key = (symbols[left as usize].token, symbols[right as usize].token);
        self.merges
            .get(&key)
            .map(|&(rank, union)| Reverse((rank, left, right, union)))
    }
}

/// The visible character that a vocabulary writes for a byte.
fn char_of(byte: u8) -> char {
    match byte {
        // Bytes that are visible in Latin-1 stand for themselves; the others follow from 256 on.
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        0..=0x20 => char_at(u32::from(byte)),
        0x7f..=0xa0 => char_at(u32::from(byte) - 0x7f + 0x21),
        0xad => char_at(0x43),
    }
}

fn char_at(offset: u32) -> char {
    char::from_u32(256 + offset).expect("letters of Latin Extended-A")
}

/// The bytes of an ordinary token.
pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => out.push(c as u8),
            code @ 0x100..=0x120 => out.push((code - 0x100) as u8),
            code @ 0x121..=0x142 => out.push((code - 0x121 + 0x7f) as u8),
            0x143 => out.push(0xad),
            // Not of that alphabet: a token that was added as it is.
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character_and_comes_back() {
        let mut all: Vec<char> = (0..=u8::MAX).map(char_of).collect();
        for (byte, c) in (0..=u8::MAX).zip(&all) {
            assert_eq!(bytes_of(&c.to_string()), [byte]);
        }
        assert_eq!((all[32], all[10]), ('Ġ', 'Ċ'));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 256);
    }
}
