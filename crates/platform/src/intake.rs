//! Where updates go: committed first, confirmed after.

use async_trait::async_trait;
use tertulia_domain::{AccountId, Timestamp};
use thiserror::Error;

use crate::event::Event;

/// What a platform delivered: stored raw before it is confirmed.
#[derive(Clone, Debug)]
pub struct Update {
    /// The account that heard it.
    pub account: AccountId,
    /// What the platform calls it; the same again means the same update again.
    pub key: String,
    /// The update as it came, JSON.
    pub raw: String,
    /// What it means; none if we have no use for it or cannot read it.
    pub event: Option<Event>,
    /// When it came in.
    pub at: Timestamp,
}

/// Takes updates in.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Commits these updates, in this order and all or none; what was taken before is passed over.
    ///
    /// Only when this returned `Ok` may the platform be told.
    ///
    /// # Errors
    /// If they could not be committed now; hand them over again later.
    async fn accept(&self, updates: Vec<Update>) -> Result<(), IntakeError>;
}

/// Updates that could not be committed now.
#[derive(Debug, Error)]
#[error("cannot take updates now")]
pub struct IntakeError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
