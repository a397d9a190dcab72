//! What can go wrong with a model, by what the caller can do next.

use std::time::Duration;

use thiserror::Error;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A generation that failed.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// Worth trying again, at the earliest after this while where the endpoint says so.
    #[error("the model is not available now")]
    Transient {
        /// The wait that the endpoint asks for.
        after: Option<Duration>,
        /// Why.
        #[source]
        source: Source,
    },
    /// No answer came in time.
    #[error("the model took longer than {limit:?} ({phase})")]
    Timeout {
        /// Which wait it was: connect, first token, between tokens or total.
        phase: &'static str,
        /// How long it was allowed to take.
        limit: Duration,
    },
    /// The stream broke off before its end.
    #[error("the stream broke off before its end")]
    Broken(#[source] Source),
    /// The money or quota at the endpoint is used up; trying again only costs time.
    #[error("the quota at the endpoint is used up")]
    Quota(#[source] Source),
    /// The endpoint refuses key or model; the config must change.
    #[error("the endpoint refuses the key or the model")]
    Refused(#[source] Source),
    /// The prompt does not fit in the model's context.
    #[error("the prompt does not fit: {tokens} tokens, {limit} allowed")]
    TooLong {
        /// Tokens of the prompt, if known; else 0.
        tokens: usize,
        /// Tokens that fit, if known; else 0.
        limit: usize,
    },
    /// The model itself is unusable: a broken file, a dead engine.
    #[error("the model is out of order")]
    OutOfOrder(#[source] Source),
}

// === impl GenerateError ===

impl GenerateError {
    /// Whether the same model may answer if asked again.
    pub fn worth_retrying(&self) -> bool {
        matches!(
            self,
            Self::Transient { .. } | Self::Timeout { .. } | Self::Broken(_)
        )
    }

    /// A short name for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transient { .. } => "transient",
            Self::Timeout { .. } => "timeout",
            Self::Broken(_) => "broken",
            Self::Quota(_) => "quota",
            Self::Refused(_) => "refused",
            Self::TooLong { .. } => "too_long",
            Self::OutOfOrder(_) => "out_of_order",
        }
    }
}
