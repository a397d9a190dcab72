//! Text to tokens and tokens to bytes, exactly as the model was trained.
//!
//! A GGUF file brings its vocabulary along: either byte-level BPE with merges ([`bpe`]) or
//! SentencePiece with scores ([`spm`]). A model folder has a `tokenizer.json`, which is left to
//! the library that defines that format ([`mod@file`]).
//! What another implementation of these formats does is followed to the token, because a model
//! answers worse to tokens it never saw.
//!
//! Invariant: text that is encoded with `parse_special = false` never becomes a control token,
//! so that what people write cannot end a turn or speak for somebody else.

mod bpe;
mod file;
mod metadata;
mod special;
mod split;
mod spm;
mod vocab;

use std::borrow::Cow;
use std::path::Path;

use candle_core::quantized::gguf_file::Content;

use crate::ModelFileError;
use bpe::Bpe;
use file::FileTokenizer;
use metadata::Metadata;
use special::{Part, Special};
use spm::Spm;
use vocab::{Kind, Vocab};

/// Turns text into tokens and tokens into bytes.
#[derive(Debug)]
pub struct Tokenizer {
    model: Model,
    /// Sorted.
    ends: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    add_bos: bool,
}

#[derive(Debug)]
enum Model {
    Gguf(Box<GgufTokenizer>),
    File(Box<FileTokenizer>),
}

#[derive(Debug)]
struct GgufTokenizer {
    vocab: Vocab,
    special: Special,
    pieces: Pieces,
}

#[derive(Debug)]
enum Pieces {
    Bpe(Bpe),
    Spm(Spm),
}

// === impl Tokenizer ===

impl Tokenizer {
    /// Builds the tokenizer that a GGUF file describes.
    ///
    /// # Errors
    /// When the description is missing, contradicts itself or names a kind that is not known.
    pub fn from_gguf(content: &Content) -> Result<Self, ModelFileError> {
        let meta = Metadata::new(content);
        let model = meta.required_text("tokenizer.ggml.model")?;
        let mut vocab = Vocab::read(&meta)?;
        let mut ends = vocab.mark_ends();
        let bos = meta.token_id("tokenizer.ggml.bos_token_id", vocab.len())?;
        let eos = meta.token_id("tokenizer.ggml.eos_token_id", vocab.len())?;
        let (pieces, bos, eos, add_bos) = match model {
            "gpt2" => {
                let bpe = Bpe::read(&meta, &vocab)?;
                let add = bpe.adds_bos();
                (Pieces::Bpe(bpe), bos, eos, add)
            }
            // Files of this kind may leave out the ids that SentencePiece always gives.
            "llama" => {
                let known = |id: u32| ((id as usize) < vocab.len()).then_some(id);
                let (bos, eos) = (bos.or_else(|| known(1)), eos.or_else(|| known(2)));
                (Pieces::Spm(Spm::read(&meta, &vocab)?), bos, eos, true)
            }
            other => {
                return Err(ModelFileError::unsupported(format!(
                    "the tokenizer `{other}` (tokenizer.ggml.model)"
                )));
            }
        };
        ends.extend(eos);
        for key in ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
            ends.extend(meta.token_id(key, vocab.len())?);
        }
        ends.sort_unstable();
        ends.dedup();
        let add_bos = meta
            .flag("tokenizer.ggml.add_bos_token")?
            .unwrap_or(add_bos);
        let special = Special::new(&vocab, strips_after_special(&meta))?;
        Ok(Self {
            model: Model::Gguf(Box::new(GgufTokenizer {
                vocab,
                special,
                pieces,
            })),
            ends,
            bos,
            eos,
            add_bos: add_bos && bos.is_some(),
        })
    }

    /// Reads a `tokenizer.json`, and what the files beside it say about beginning and end.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn from_file(path: &Path) -> Result<Self, ModelFileError> {
        let file = FileTokenizer::read(path)?;
        let facts = file::Facts::beside(path, &file);
        Ok(Self {
            model: Model::File(Box::new(file)),
            ends: facts.ends,
            bos: facts.bos,
            eos: facts.eos,
            add_bos: facts.add_bos && facts.bos.is_some(),
        })
    }

    /// The tokens of a text, without any that a prompt begins with.
    ///
    /// With `parse_special`, control tokens are recognized by their text; that is for rendered
    /// templates only.
    pub fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        match &self.model {
            Model::Gguf(model) => model.encode(text, parse_special),
            Model::File(file) => file.encode(text, parse_special),
        }
    }

    /// The tokens of a rendered prompt: control tokens recognized, and the token that begins
    /// a prompt added where the model wants it and the template has not written it.
    pub fn encode_prompt(&self, text: &str) -> Vec<u32> {
        let mut tokens = self.encode(text, true);
        if let Some(bos) = self.bos
            && self.add_bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// Breaks up what would be read as a control token, so that the text can stand in a template.
    ///
    /// A zero-width space after its first character is enough; a reader does not see it.
    pub fn defuse<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.model {
            Model::Gguf(model) => model.special.defuse(text),
            Model::File(file) => file.defuse(text),
        }
    }

    /// The bytes that a token adds to the text; none for control tokens and unknown ids.
    pub fn token_bytes(&self, id: u32) -> Cow<'_, [u8]> {
        match &self.model {
            Model::Gguf(model) => model.token_bytes(id),
            Model::File(file) => Cow::Owned(file.token_bytes(id)),
        }
    }

    /// A token as the vocabulary writes it; empty for unknown ids.
    pub fn token_text(&self, id: u32) -> Cow<'_, str> {
        match &self.model {
            Model::Gguf(model) => Cow::Borrowed(model.vocab.text(id)),
            Model::File(file) => Cow::Owned(file.token_text(id)),
        }
    }

    /// Whether a token ends an answer.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// How many tokens there are; every id is smaller.
    pub fn vocab_size(&self) -> usize {
        match &self.model {
            Model::Gguf(model) => model.vocab.len(),
            Model::File(file) => file.vocab_size(),
        }
    }

    /// The token that begins a prompt, if there is one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a text, if there is one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether a prompt must begin with [`bos`](Self::bos).
    pub fn add_bos(&self) -> bool {
        self.add_bos
    }
}

// === impl GgufTokenizer ===

impl GgufTokenizer {
    fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        let mut out = Vec::with_capacity(text.len() / 3 + 1);
        let mut after_special = true;
        for part in self.special.parts(text, parse_special) {
            match part {
                Part::Token(id) => out.push(id),
                Part::Text(text) => match &self.pieces {
                    Pieces::Bpe(bpe) => bpe.encode(&self.vocab, text, &mut out),
                    Pieces::Spm(spm) => spm.encode(&self.vocab, text, after_special, &mut out),
                },
            }
            after_special = matches!(part, Part::Token(_));
        }
        out
    }

    fn token_bytes(&self, id: u32) -> Cow<'_, [u8]> {
        let text = self.vocab.text(id);
        match (self.vocab.kind(id), &self.pieces) {
            (Kind::Control | Kind::Unknown | Kind::Unused, _) => Cow::Borrowed(&[]),
            (Kind::UserDefined, _) => Cow::Borrowed(text.as_bytes()),
            (Kind::Byte, _) => match vocab::byte_of(text) {
                Some(byte) => Cow::Owned(vec![byte]),
                None => Cow::Borrowed(text.as_bytes()),
            },
            (Kind::Normal, Pieces::Bpe(_)) => Cow::Owned(bpe::bytes_of(text)),
            (Kind::Normal, Pieces::Spm(_)) => spm::bytes_of(text),
        }
    }
}

/// Whether white space after a control token was dropped in training.
///
/// The files do not say it; known models are told by their name.
fn strips_after_special(meta: &Metadata<'_>) -> bool {
    let name = meta
        .text("general.name")
        .ok()
        .flatten()
        .unwrap_or_default()
        .to_lowercase();
    name.contains("phi-3") || name.contains("phi3")
}

#[cfg(test)]
pub(crate) mod tests;
