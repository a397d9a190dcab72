//! A person's judgement of a reply.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{PersonId, TurnId};

/// A person's judgement of the reply of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The turn whose reply is judged.
    pub turn: TurnId,
    /// Who judges.
    pub person: PersonId,
    /// The judgement.
    pub judgement: Judgement,
    /// How it was given: `button`, or the emoji of a reaction.
    pub source: String,
    /// When.
    pub at: Timestamp,
}

/// What somebody thought of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Good.
    Good,
    /// Bad.
    Bad,
    /// Took an earlier judgement back, or gave one that is neither.
    Neutral,
}

// === impl Judgement ===

impl Judgement {
    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Neutral => "neutral",
        }
    }

    /// What an emoji says about a reply.
    pub fn from_emoji(emoji: &str) -> Self {
        const GOOD: [&str; 12] = [
            "👍", "❤", "❤️", "🔥", "👏", "🎉", "🤩", "🙏", "👌", "💯", "😍", "🏆",
        ];
        const BAD: [&str; 8] = ["👎", "💩", "🤮", "🤬", "😡", "🥱", "😢", "🤡"];
        if GOOD.contains(&emoji) {
            Self::Good
        } else if BAD.contains(&emoji) {
            Self::Bad
        } else {
            Self::Neutral
        }
    }
}
