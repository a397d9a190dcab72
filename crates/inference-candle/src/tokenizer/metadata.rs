//! Typed reading of a GGUF file's metadata, with the key in every complaint.

use candle_core::quantized::gguf_file::{Content, Value};

use crate::ModelFileError;

/// The metadata of one file.
pub(crate) struct Metadata<'a> {
    content: &'a Content,
}

// === impl Metadata ===

impl<'a> Metadata<'a> {
    pub(crate) fn new(content: &'a Content) -> Self {
        Self { content }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.content.metadata.get(key)
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, ModelFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(key, "is not a text")),
        }
    }

    pub(crate) fn required_text(&self, key: &str) -> Result<&'a str, ModelFileError> {
        self.text(key)?.ok_or_else(|| wrong(key, "is missing"))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, ModelFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(wrong(key, "is not true or false")),
        }
    }

    /// A token's id, which must be below `vocabulary`.
    pub(crate) fn token_id(
        &self,
        key: &str,
        vocabulary: usize,
    ) -> Result<Option<u32>, ModelFileError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let id = integer(value).ok_or_else(|| wrong(key, "is not an integer"))?;
        u32::try_from(id)
            .ok()
            .filter(|&id| (id as usize) < vocabulary)
            .map(Some)
            .ok_or_else(|| wrong(key, format!("is {id}, but there are {vocabulary} tokens")))
    }

    pub(crate) fn array(&self, key: &str) -> Result<Option<&'a [Value]>, ModelFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(wrong(key, "is not an array")),
        }
    }

    pub(crate) fn required_array(&self, key: &str) -> Result<&'a [Value], ModelFileError> {
        self.array(key)?.ok_or_else(|| wrong(key, "is missing"))
    }
}

/// A complaint about a metadata value.
pub(crate) fn wrong(key: &str, problem: impl std::fmt::Display) -> ModelFileError {
    ModelFileError::broken(format!("the metadata {key} {problem}"))
}

pub(crate) fn integer(value: &Value) -> Option<i64> {
    Some(match *value {
        Value::U8(n) => n.into(),
        Value::I8(n) => n.into(),
        Value::U16(n) => n.into(),
        Value::I16(n) => n.into(),
        Value::U32(n) => n.into(),
        Value::I32(n) => n.into(),
        Value::U64(n) => i64::try_from(n).ok()?,
        Value::I64(n) => n,
        _ => return None,
    })
}

pub(crate) fn number(value: &Value) -> Option<f32> {
    match *value {
        Value::F32(n) => Some(n),
        Value::F64(n) => Some(n as f32),
        _ => integer(value).map(|n| n as f32),
    }
}
