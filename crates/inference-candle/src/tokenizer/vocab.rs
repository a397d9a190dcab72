//! The tokens of a vocabulary: text, kind and score by id, and id by text.
//!
//! A quarter of a million tokens are usual, so they share one string and one table of ids
//! instead of an allocation each: reading them takes milliseconds.
//!
//! Invariant: no two tokens have the same text, and ids fit in `u32`.

use std::hash::{BuildHasher, RandomState};

use candle_core::quantized::gguf_file::Value;

use crate::ModelFileError;
use crate::tokenizer::metadata::{Metadata, integer, number, wrong};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";

/// No token has this id.
const FREE: u32 = u32::MAX;

/// Tokens that end an answer, by their text, whatever the file says of their kind.
pub(super) const ENDS: [&str; 22] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<｜end▁of▁sentence｜>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<reponame>",
    "<|end_of_role|>",
    "<|endofturn|>",
];

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A piece of text in the vocabulary's own spelling.
    Normal,
    /// Stands for text that has no token.
    Unknown,
    /// Structure, such as the end of a turn; never text.
    Control,
    /// A piece of text as it is, matched before any merging.
    UserDefined,
    /// Reserved.
    Unused,
    /// One byte, written `<0x41>`.
    Byte,
}

/// The tokens of a model.
pub(super) struct Vocab {
    text: String,
    /// Where each token's text ends in `text`.
    ends: Vec<u32>,
    kinds: Vec<Kind>,
    scores: Vec<f32>,
    /// Open addressing: ids at the hash of their text, a power of two of places, half of them free.
    slots: Vec<u32>,
    /// Seeded anew in each process, so that no file can be made of collisions.
    hasher: RandomState,
    longest: usize,
}

// === impl Vocab ===

impl Vocab {
    pub(super) fn read(meta: &Metadata<'_>) -> Result<Self, ModelFileError> {
        let tokens = meta.required_array(TOKENS)?;
        if tokens.is_empty() || tokens.len() >= (1 << 28) {
            return Err(wrong(TOKENS, format_args!("has {} entries", tokens.len())));
        }
        let total: usize = tokens
            .iter()
            .map(|token| {
                if let Value::String(text) = token {
                    text.len()
                } else {
                    0
                }
            })
            .sum();
        if total >= FREE as usize {
            return Err(wrong(TOKENS, "is longer than 4 GB"));
        }
        let mut vocab = Self {
            text: String::with_capacity(total),
            ends: Vec::with_capacity(tokens.len()),
            kinds: kinds(meta, tokens)?,
            scores: scores(meta, tokens.len())?,
            slots: vec![FREE; (tokens.len() * 2).next_power_of_two()],
            hasher: RandomState::new(),
            longest: 0,
        };
        for (id, token) in tokens.iter().enumerate() {
            let Value::String(text) = token else {
                return Err(wrong(TOKENS, format_args!("[{id}] is not a text")));
            };
            vocab.add(id as u32, text)?;
        }
        Ok(vocab)
    }

    fn add(&mut self, id: u32, text: &str) -> Result<(), ModelFileError> {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        self.longest = self.longest.max(text.len());
        // An empty text is a hole in the vocabulary: it has an id but cannot be looked up.
        if text.is_empty() {
            return Ok(());
        }
        let mut at = self.place(text);
        while self.slots[at] != FREE {
            let other = self.slots[at];
            if self.text(other) == text {
                return Err(wrong(TOKENS, format_args!("[{id}] repeats [{other}]")));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = id;
        Ok(())
    }

    fn place(&self, text: &str) -> usize {
        self.hasher.hash_one(text) as usize & (self.slots.len() - 1)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn find(&self, text: &str) -> Option<u32> {
        if text.is_empty() || text.len() > self.longest {
            return None;
        }
        let mut at = self.place(text);
        loop {
            match self.slots[at] {
                FREE => return None,
                id if self.text(id) == text => return Some(id),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// As [`find`](Self::find), for tokens that ordinary text may become.
    pub(super) fn find_text(&self, text: &str) -> Option<u32> {
        self.find(text)
            .filter(|&id| !matches!(self.kind(id), Kind::Control | Kind::Unknown))
    }

    /// The text of a token; empty for unknown ids.
    pub(super) fn text(&self, id: u32) -> &str {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else {
            return "";
        };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[start as usize..end as usize]
    }

    pub(super) fn kind(&self, id: u32) -> Kind {
        self.kinds.get(id as usize).copied().unwrap_or(Kind::Unused)
    }

    pub(super) fn score(&self, id: u32) -> f32 {
        self.scores.get(id as usize).copied().unwrap_or(0.0)
    }

    pub(super) fn ids_of(&self, kind: Kind) -> impl Iterator<Item = u32> {
        (0..)
            .zip(&self.kinds)
            .filter(move |&(_, &other)| other == kind)
            .map(|(id, _)| id)
    }

    /// Finds the tokens that end an answer, and makes them control tokens where a careless
    /// converter has not.
    pub(super) fn mark_ends(&mut self) -> Vec<u32> {
        let mut ends: Vec<u32> = ENDS.iter().filter_map(|text| self.find(text)).collect();
        for &id in &ends {
            self.kinds[id as usize] = Kind::Control;
        }
        // Some vocabularies have it as a piece of HTML.
        ends.extend(
            self.find("</s>")
                .filter(|&id| self.kind(id) == Kind::Control),
        );
        // Where both of these exist, `<|end|>` ends only one of several messages of an answer.
        if self.find("<|return|>").is_some()
            && self.find("<|call|>").is_some()
            && let Some(end) = self.find("<|end|>")
        {
            ends.retain(|&id| id != end);
        }
        ends
    }
}

impl std::fmt::Debug for Vocab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocab")
            .field("tokens", &self.len())
            .finish_non_exhaustive()
    }
}

/// The byte that a token such as `<0x0A>` stands for.
pub(super) fn byte_of(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(digits, 16).expect("two hexadecimal digits"))
}

fn kinds(meta: &Metadata<'_>, tokens: &[Value]) -> Result<Vec<Kind>, ModelFileError> {
    let Some(types) = meta.array(TYPES)? else {
        // Old files: only the spelling tells bytes from text.
        return Ok(tokens
            .iter()
            .map(|token| match token {
                Value::String(text) if byte_of(text).is_some() => Kind::Byte,
                _ => Kind::Normal,
            })
            .collect());
    };
    if types.len() < tokens.len() {
        return Err(wrong(
            TYPES,
            format_args!("has {} entries for {} tokens", types.len(), tokens.len()),
        ));
    }
    types[..tokens.len()]
        .iter()
        .enumerate()
        .map(|(id, value)| match integer(value) {
            Some(0 | 1) => Ok(Kind::Normal),
            Some(2) => Ok(Kind::Unknown),
            Some(3) => Ok(Kind::Control),
            Some(4) => Ok(Kind::UserDefined),
            Some(5) => Ok(Kind::Unused),
            Some(6) => Ok(Kind::Byte),
            _ => Err(wrong(
                TYPES,
                format_args!("[{id}] is not a known kind of token"),
            )),
        })
        .collect()
}

fn scores(meta: &Metadata<'_>, tokens: usize) -> Result<Vec<f32>, ModelFileError> {
    let Some(scores) = meta.array(SCORES)? else {
        return Ok(Vec::new());
    };
    if scores.len() < tokens {
        return Err(wrong(
            SCORES,
            format_args!("has {} entries for {tokens} tokens", scores.len()),
        ));
    }
    scores[..tokens]
        .iter()
        .enumerate()
        .map(|(id, value)| {
            number(value).ok_or_else(|| wrong(SCORES, format_args!("[{id}] is not a number")))
        })
        .collect()
}
