//! What can go wrong with a platform, by what the caller can do next.

use std::time::Duration;

use tertulia_domain::ChatId;
use thiserror::Error;

use crate::event::Unreachable;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An account that cannot go on.
#[derive(Debug, Error)]
pub enum PlatformError {
    /// The platform refuses the token; it must be replaced.
    #[error("the platform refuses the token")]
    Unauthorized(#[source] Source),
    /// The account is set up in a way that cannot work.
    #[error("{0}")]
    Misconfigured(String),
}

/// A message that could not be placed or shown.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// Certainly not placed; worth trying again after this while.
    #[error("not delivered, again in {after:?}")]
    Again {
        /// How long to wait first.
        after: Duration,
        /// Why.
        #[source]
        source: Source,
    },
    /// It may have been placed or not; settle before trying again.
    #[error("lost sight of the delivery")]
    InDoubt(#[source] Source),
    /// Nothing reaches this chat any more.
    #[error("the chat cannot be reached: {0:?}")]
    Unreachable(Unreachable),
    /// The chat goes on under another id; place it there.
    #[error("the chat moved to {0}")]
    Moved(ChatId),
    /// The thread is gone; place it without.
    #[error("the thread is gone")]
    ThreadGone,
    /// The message to edit is gone or cannot be edited; place a new one.
    #[error("the message to edit is gone")]
    TargetGone,
    /// A preview or edit that is not worth waiting for; a later one says more.
    #[error("skipped, the chat is busy")]
    Skipped,
    /// This place cannot show that.
    #[error("not supported here")]
    Unsupported,
    /// The platform refuses the content for good.
    #[error("the platform refuses the content")]
    Refused(#[source] Source),
}
