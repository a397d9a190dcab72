//! A `tokenizer.json`, read by the library that defines it.
//!
//! What that file does not say, beginning and end of a prompt, stands in files beside it.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;
use tokenizers::{DecoderWrapper, Tokenizer};

use crate::ModelFileError;
use crate::tokenizer::{bpe, special, spm, vocab};

/// The largest file beside it that is read.
const MOST: u64 = 8 << 20;

/// A tokenizer of a model folder.
pub(super) struct FileTokenizer {
    tokenizer: Tokenizer,
    /// The same, blind to control tokens; made when first needed, as it is not small.
    blind: OnceLock<Tokenizer>,
    byte_level: bool,
    /// The control tokens' texts and ids.
    control: Vec<(String, u32)>,
}

/// What the files beside it say.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) ends: Vec<u32>,
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) add_bos: bool,
}

// === impl FileTokenizer ===

impl FileTokenizer {
    pub(super) fn read(path: &Path) -> Result<Self, ModelFileError> {
        let bytes = std::fs::read(path).map_err(|source| ModelFileError::Unreadable {
            file: path.to_owned(),
            source,
        })?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| {
            ModelFileError::broken(format!("it is no tokenizer: {error}")).at(path)
        })?;
        // A prompt is never cut or filled up behind our back.
        tokenizer
            .with_truncation(None)
            .map_err(|error| ModelFileError::broken(error.to_string()).at(path))?
            .with_padding(None);
        let byte_level = match tokenizer.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => true,
            Some(DecoderWrapper::Sequence(steps)) => steps
                .get_decoders()
                .iter()
                .any(|step| matches!(step, DecoderWrapper::ByteLevel(_))),
            _ => false,
        };
        let mut control: Vec<(String, u32)> = tokenizer
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special && !token.content.is_empty())
            .map(|(id, token)| (token.content, id))
            .collect();
        control.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.1.cmp(&b.1)));
        Ok(Self {
            tokenizer,
            blind: OnceLock::new(),
            byte_level,
            control,
        })
    }

    pub(super) fn encode(&self, text: &str, parse_special: bool) -> Vec<u32> {
        let tokenizer = if parse_special {
            &self.tokenizer
        } else {
            self.blind.get_or_init(|| {
                let mut blind = self.tokenizer.clone();
                blind.set_encode_special_tokens(true);
                blind
            })
        };
        match tokenizer.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            Err(error) => {
                tracing::warn!(%error, "the tokenizer failed on a text");
                Vec::new()
            }
        }
    }

    pub(super) fn defuse<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut starts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let found = self
                .control
                .iter()
                .find(|(token, _)| rest.starts_with(token.as_str()));
            if let Some((token, _)) = found {
                starts.push(at);
                at += token.len();
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        special::defuse_at(text, starts.into_iter())
    }

    pub(super) fn token_bytes(&self, id: u32) -> Vec<u8> {
        if self.control.iter().any(|&(_, control)| control == id) {
            return Vec::new();
        }
        let Some(text) = self.tokenizer.id_to_token(id) else {
            return Vec::new();
        };
        if self
            .tokenizer
            .get_added_vocabulary()
            .is_special_token(&text)
        {
            return Vec::new();
        }
        if self.tokenizer.get_added_tokens_decoder().contains_key(&id) {
            return text.into_bytes();
        }
        if self.byte_level {
            bpe::bytes_of(&text)
        } else if let Some(byte) = vocab::byte_of(&text) {
            vec![byte]
        } else {
            spm::bytes_of(&text).into_owned()
        }
    }

    pub(super) fn token_text(&self, id: u32) -> String {
        self.tokenizer.id_to_token(id).unwrap_or_default()
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    fn id(&self, text: &str) -> Option<u32> {
        self.tokenizer.token_to_id(text)
    }
}

impl std::fmt::Debug for FileTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTokenizer")
            .field("tokens", &self.vocab_size())
            .finish_non_exhaustive()
    }
}

// === impl Facts ===

impl Facts {
    /// Asks the files beside a tokenizer; what cannot be read is as if it were not there.
    pub(super) fn beside(path: &Path, file: &FileTokenizer) -> Self {
        let read = |name: &str| -> Value {
            let path = path.with_file_name(name);
            std::fs::metadata(&path)
                .ok()
                .filter(|meta| meta.len() <= MOST)
                .and_then(|_| std::fs::read(&path).ok())
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or(Value::Null)
        };
        let (generation, config, own) = (
            read("generation_config.json"),
            read("config.json"),
            read("tokenizer_config.json"),
        );
        let by_id = |key: &str| {
            [&generation, &config]
                .into_iter()
                .map(|from| ids(&from[key]))
                .find(|ids| !ids.is_empty())
        };
        // Either a text or an object with the text in it.
        let by_text = |key: &str| {
            let value = &own[key];
            file.id(value.as_str().or_else(|| value["content"].as_str())?)
        };
        let mut ends: Vec<u32> = vocab::ENDS
            .iter()
            .filter_map(|text| file.id(text))
            .collect();
        let eos = by_text("eos_token").or_else(|| by_id("eos_token_id")?.first().copied());
        ends.extend(eos);
        ends.extend(by_id("eos_token_id").unwrap_or_default());
        ends.sort_unstable();
        ends.dedup();
        Self {
            ends,
            bos: by_text("bos_token").or_else(|| by_id("bos_token_id")?.first().copied()),
            eos,
            add_bos: own["add_bos_token"].as_bool().unwrap_or(false),
        }
    }
}

fn ids(value: &Value) -> Vec<u32> {
    let id = |value: &Value| u32::try_from(value.as_u64()?).ok();
    match value {
        Value::Array(values) => values.iter().filter_map(id).collect(),
        value => id(value).into_iter().collect(),
    }
}
