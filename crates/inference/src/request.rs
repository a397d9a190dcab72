//! What is asked of a generator: valid by construction.

use thiserror::Error;

/// A prompt and how to answer it.
///
/// Invariant: the prompt has a message and ends with one that is not the assistant's, `max_tokens`
/// is not 0, and the sampling is in range; so generators need not check.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    prompt: Prompt,
    sampling: Sampling,
    max_tokens: usize,
    cache: Option<u64>,
    background: bool,
}

/// What is sent to a generator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// What the persona is told; empty for nothing.
    pub system: String,
    /// The conversation, oldest first.
    pub messages: Vec<PromptMessage>,
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// Who speaks in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// People.
    User,
    /// The model.
    Assistant,
}

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Spread of the choice; 0 always takes the most likely token.
    pub temperature: f32,
    /// Only the most likely tokens that together reach this probability; 1 for all.
    pub top_p: f32,
    /// Only this many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only tokens at least this share as likely as the most likely one; 0 for all.
    pub min_p: f32,
    /// Divides the logits of tokens that occurred lately; 1 for no effect.
    pub repetition_penalty: f32,
    /// Makes the choice repeatable.
    pub seed: Option<u64>,
    /// Ends the answer; never part of it.
    pub stop: Vec<String>,
}

/// Why something is not a valid request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// There is nothing to answer.
    #[error("the prompt has no message to answer")]
    NothingToAnswer,
    /// No token may be generated.
    #[error("max_tokens is 0")]
    NoTokens,
    /// A sampling value is out of its range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

// === impl Request ===

impl Request {
    /// Checks and joins the parts.
    pub fn new(
        prompt: Prompt,
        sampling: Sampling,
        max_tokens: usize,
    ) -> Result<Self, RequestError> {
        if prompt
            .messages
            .last()
            .is_none_or(|last| last.role == Role::Assistant)
        {
            return Err(RequestError::NothingToAnswer);
        }
        if max_tokens == 0 {
            return Err(RequestError::NoTokens);
        }
        sampling.check()?;
        Ok(Self {
            prompt,
            sampling,
            max_tokens,
            cache: None,
            background: false,
        })
    }

    /// Names the conversation whose earlier computations may be used again.
    #[must_use]
    pub fn cached_as(mut self, conversation: u64) -> Self {
        self.cache = Some(conversation);
        self
    }

    /// Lets answers that somebody waits for go first.
    #[must_use]
    pub fn in_background(mut self) -> Self {
        self.background = true;
        self
    }

    /// The prompt.
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// The sampling.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The most tokens the answer may have.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The conversation whose earlier computations may be used again.
    pub fn cache(&self) -> Option<u64> {
        self.cache
    }

    /// Whether nobody waits for the answer.
    pub fn background(&self) -> bool {
        self.background
    }
}

// === impl Sampling ===

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 0.95,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: None,
            stop: Vec::new(),
        }
    }
}

impl Sampling {
    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            ..Self::default()
        }
    }

    fn check(&self) -> Result<(), RequestError> {
        let within = |name, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(RequestError::OutOfRange(name))
            }
        };
        within("temperature", self.temperature, 0.0, 5.0)?;
        within("top_p", self.top_p, 0.0, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.1, 10.0)
    }
}
