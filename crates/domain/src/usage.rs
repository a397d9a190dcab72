//! Tokens and money spent by whom, where, on which model.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, ModelName, PersonId, TurnId};

/// What one call of a model used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The turn it was for.
    pub turn: TurnId,
    /// The conversation of that turn.
    pub conversation: ConversationId,
    /// The person who asked.
    pub person: PersonId,
    /// The model that was called.
    pub model: ModelName,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Those of them that a cache spared.
    pub cached_tokens: u64,
    /// Tokens of the answer.
    pub reply_tokens: u64,
    /// What they cost.
    pub cost: Money,
    /// When.
    pub at: Timestamp,
}

/// An amount in millionths of the budget currency.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(pub i64);

// === impl Money ===

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// The price of this many tokens at a price per million of them, rounded up.
    pub fn for_tokens(tokens: u64, per_million: f64) -> Self {
        Self((tokens as f64 * per_million).ceil() as i64)
    }

    /// Both amounts together.
    #[must_use]
    pub fn plus(self, other: Money) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.0 as f64 / 1e6)
    }
}
