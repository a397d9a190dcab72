//! What the engine needs of a model: to step, and to remember.

use std::borrow::Cow;
use std::error::Error;

use crate::decoder::{Decoder, Input, Past};
use crate::tokenizer::Tokenizer;

/// Why a step failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A model that computes the scores of next tokens for many sequences at once.
pub trait Forward: Send + 'static {
    /// What a sequence remembers.
    type Past: Memory;

    /// The memory of a sequence that has not begun.
    fn empty(&self) -> Self::Past;

    /// The memory that one token takes.
    fn bytes_per_token(&self) -> usize;

    /// Computes all inputs' tokens; scores by input and row, as many rows as asked for.
    ///
    /// # Errors
    /// When the computation fails; the pasts are not used any more then.
    fn step(&self, inputs: &mut [Input<'_, Self::Past>]) -> Result<Vec<Vec<Vec<f32>>>, Failure>;
}

/// What a sequence remembers.
pub trait Memory: Send + Sized + 'static {
    /// Tokens that are remembered.
    fn tokens(&self) -> usize;
    /// Memory that is held.
    fn bytes(&self) -> usize;
    /// Forgets all but the first tokens.
    fn truncate(&mut self, tokens: usize);
    /// A copy that remembers the first tokens only.
    fn fork(&self, tokens: usize) -> Result<Self, Failure>;
}

/// What the engine needs to turn tokens into text.
pub trait Vocabulary: Send + Sync + 'static {
    /// The bytes that a token stands for.
    fn bytes(&self, token: u32) -> Cow<'_, [u8]>;
    /// Whether it ends an answer.
    fn is_end(&self, token: u32) -> bool;
}

impl Forward for Decoder {
    type Past = Past;

    fn empty(&self) -> Past {
        Self::empty(self)
    }

    fn bytes_per_token(&self) -> usize {
        let shape = self.architecture();
        shape.layers * shape.kv_width() * 2 * size_of::<f32>()
    }

    fn step(&self, inputs: &mut [Input<'_>]) -> Result<Vec<Vec<Vec<f32>>>, Failure> {
        Ok(Self::step(self, inputs)?)
    }
}

impl Memory for Past {
    fn tokens(&self) -> usize {
        Self::tokens(self)
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }

    fn truncate(&mut self, tokens: usize) {
        Self::truncate(self, tokens);
    }

    fn fork(&self, tokens: usize) -> Result<Self, Failure> {
        Ok(Self::fork(self, tokens)?)
    }
}

impl Vocabulary for Tokenizer {
    fn bytes(&self, token: u32) -> Cow<'_, [u8]> {
        self.token_bytes(token)
    }

    fn is_end(&self, token: u32) -> bool {
        Self::is_end(self, token)
    }
}
