//! What the server says to one request, and how it goes wrong.

use std::time::Duration;

use super::ChatRequest;

/// An answer, piece by piece.
#[derive(Clone, Debug)]
pub struct Script {
    /// The pieces of text, one chunk each.
    pub pieces: Vec<String>,
    /// The wait before the first piece.
    pub first_delay: Duration,
    /// The wait before each further piece.
    pub delay: Duration,
    /// The finish reason of a good ending.
    pub finish_reason: String,
    /// Prompt and completion tokens; counted in words when absent.
    pub usage: Option<(u64, u64)>,
    /// How it ends.
    pub ending: Ending,
    /// A refusal instead of an answer.
    pub refused: Option<Refused>,
}

/// How an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a finish reason and `[DONE]`.
    Done,
    /// With `[DONE]` but no finish reason.
    NoFinish,
    /// With a finish reason, then a clean end of the body without `[DONE]`.
    NoDone,
    /// With a connection cut in the middle of a chunk.
    CutMidChunk,
    /// Never: the connection stays open and silent.
    Stall,
    /// With an error object of this code in the stream.
    ErrorEvent(String),
}

/// A refusal with a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The `code` of the error body.
    pub code: String,
    /// The seconds of a `Retry-After` header.
    pub retry_after: Option<u64>,
}

impl Script {
    /// Says a text in small pieces without delay.
    pub fn say(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        Self {
            pieces: chars
                .chunks(5)
                .map(|piece| piece.iter().collect())
                .collect(),
            first_delay: Duration::ZERO,
            delay: Duration::ZERO,
            finish_reason: "stop".into(),
            usage: None,
            ending: Ending::Done,
            refused: None,
        }
    }

    /// The default: `echo: ` and the last user message.
    pub fn echo(request: &ChatRequest) -> Self {
        Self::say(&format!("echo: {}", request.last_user()))
    }

    /// Refuses with a status and an error code.
    pub fn refuse(status: u16, code: &str, retry_after: Option<u64>) -> Self {
        let refused = Refused {
            status,
            code: code.to_owned(),
            retry_after,
        };
        Self {
            refused: Some(refused),
            ..Self::say("")
        }
    }

    /// Waits before each piece.
    #[must_use]
    pub fn paced(mut self, first: Duration, each: Duration) -> Self {
        self.first_delay = first;
        self.delay = each;
        self
    }

    /// Ends in another way.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Finishes for another reason.
    #[must_use]
    pub fn finishing(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.finish_reason);
        self
    }

    pub(crate) fn tokens(&self, request: &ChatRequest) -> (u64, u64) {
        let words = |text: &str| text.split_whitespace().count() as u64;
        self.usage.unwrap_or_else(|| {
            let prompt = request.messages.iter().map(|m| words(&m.content) + 4).sum();
            (prompt, words(&self.pieces.concat()))
        })
    }
}
