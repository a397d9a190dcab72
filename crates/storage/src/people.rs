//! People: what is stored about them, and what they have spent.

use async_trait::async_trait;
use tertulia_domain::{ConversationId, ModelName, Money, PersonId, Timestamp, TurnId};

use crate::error::StorageError;

/// Keeps people.
#[async_trait]
pub trait People: Send + Sync {
    /// Everything stored about a person, as one JSON document.
    async fn export(&self, person: &PersonId) -> Result<serde_json::Value, StorageError>;

    /// Erases everything stored about a person: their private conversations whole, elsewhere what
    /// they said and what was answered to them, and every summary that may speak of them.
    ///
    /// The turn `keep` (in which the person asks for it) loses its texts but may still be ended.
    async fn forget(&self, person: &PersonId, keep: Option<TurnId>) -> Result<u64, StorageError>;

    /// What a person has spent since a moment; turns from `turn` on are not counted.
    async fn spent_by(
        &self,
        person: &PersonId,
        since: Timestamp,
        before: TurnId,
    ) -> Result<Spent, StorageError>;

    /// What a conversation's chat has spent since a moment; turns from `turn` on are not counted.
    async fn spent_in(
        &self,
        conversation: ConversationId,
        since: Timestamp,
        before: TurnId,
    ) -> Result<Spent, StorageError>;

    /// What a person has spent since a moment, by model.
    async fn spent_by_model(
        &self,
        person: &PersonId,
        since: Timestamp,
    ) -> Result<Vec<(ModelName, Spent)>, StorageError>;
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Prompts that were not refused.
    pub messages: u64,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Money.
    pub money: Money,
}
