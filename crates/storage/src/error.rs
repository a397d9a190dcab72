//! What can go wrong with a store.

use thiserror::Error;

/// A store that did not do what was asked; nothing of it happened.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The store cannot be used now: busy, full, gone. Worth trying again.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store holds or was given something that cannot be: trying again changes nothing.
    #[error("the store is inconsistent: {0}")]
    Inconsistent(String),
}

// === impl StorageError ===

impl StorageError {
    /// Whether it is worth trying again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
