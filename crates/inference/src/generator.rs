//! The trait of a model that writes.

use std::pin::Pin;

use async_trait::async_trait;
use futures::Stream;
use tertulia_domain::ModelName;

use crate::error::GenerateError;
use crate::request::{Prompt, Request};

/// A model that writes.
#[async_trait]
pub trait Generator: Send + Sync {
    /// What it is.
    fn info(&self) -> ModelInfo;

    /// How many tokens it counts in this prompt, its template included.
    ///
    /// An estimate where the model's own tokenizer is not at hand; never blocks for long.
    fn count_tokens(&self, prompt: &Prompt) -> usize;

    /// Begins to answer.
    ///
    /// Dropping the future or the stream cancels the work within one token.
    ///
    /// # Errors
    /// As the stream's, when it fails before the first piece of text.
    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError>;
}

/// What a model is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Its name in the config.
    pub name: ModelName,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// Whether it runs in this process, at no price.
    pub local: bool,
}

/// Pieces of text and then [`Chunk::Done`]; anything else at the end is a failure.
pub type TextStream = Pin<Box<dyn Stream<Item = Result<Chunk, GenerateError>> + Send>>;

/// One item of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// More text; whole characters, nothing of a stop string.
    Text(String),
    /// The end.
    Done {
        /// Why it ended.
        finish: Finish,
        /// What it took.
        tokens: TokenCount,
        /// The model that answered.
        model: ModelName,
    },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was complete.
    Stop,
    /// It reached the most tokens allowed.
    Length,
    /// The endpoint's filter cut it off.
    Filtered,
}

/// What an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCount {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Those of them that a cache spared.
    pub cached: u64,
    /// Tokens of the answer.
    pub reply: u64,
}
