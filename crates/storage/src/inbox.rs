//! Where updates are committed before they are confirmed.

use async_trait::async_trait;
use tertulia_domain::Timestamp;

use crate::accept::{Accepted, Arrival};
use crate::error::StorageError;

/// Takes updates in.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Commits these arrivals with all their effects, in order, in one transaction.
    ///
    /// An arrival whose (account, key) was committed before is passed over with all its effects.
    /// Durable when it returns.
    async fn accept(&self, arrivals: &[Arrival]) -> Result<Accepted, StorageError>;

    /// Forgets raw updates that came before `before`, and their keys.
    ///
    /// Platforms repeat updates for at most two days; returns how many were forgotten.
    async fn prune_updates(&self, before: Timestamp) -> Result<u64, StorageError>;
}
