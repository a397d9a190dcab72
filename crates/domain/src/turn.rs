//! One thing to answer and its answer.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::command::Command;
use crate::ids::{ConversationId, PersonId, PlatformMessageId, TurnId};
use crate::language::Language;
use crate::place::Place;

/// One thing to answer: the prompt message(s), the plan, the reply.
///
/// Invariant: a turn has a number within its conversation and exactly one end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its id; grows in the order of arrival.
    pub id: TurnId,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// Its number within the conversation, from 1.
    pub number: i64,
    /// Where the answer goes.
    pub place: Place,
    /// Whether the place is a talk between two, where no speaker needs naming.
    pub private: bool,
    /// Who asks.
    pub person: PersonId,
    /// The language of that person's client.
    pub language: Language,
    /// The message that the answer is a reply to.
    pub reply_to: Option<PlatformMessageId>,
    /// What is asked.
    pub ask: Ask,
    /// How far it is.
    pub state: TurnState,
    /// How often it was begun and not brought to an end.
    pub attempts: u32,
    /// Whether somebody asked to stop it.
    pub stopped: bool,
    /// Not to be begun before: further pieces of the prompt may be on their way.
    pub ready_at: Timestamp,
    /// When its first message arrived.
    pub created_at: Timestamp,
}

/// What a turn asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// An answer to the turn's messages.
    Chat,
    /// What a chat command does.
    Command(Command),
    /// Another answer to the last thing asked; to this turn if one is named.
    Retry(Option<TurnId>),
    /// A visible refusal: the sender may not, or not now.
    Refusal(Refusal),
}

/// Why something is refused without being looked at further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Too much is waiting already.
    Overloaded,
    /// The sender or the chat is not admitted.
    NotAllowed,
}

/// How far a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// Waits for its place in the lane.
    Queued,
    /// Is being answered.
    Running,
    /// Has its end.
    Ended(TurnEnd),
}

/// The one end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// Answered.
    Answered,
    /// Visibly refused.
    Refused,
    /// Stopped by a person.
    Cancelled,
    /// Given up; the person was told.
    Failed,
}

// === impl TurnState ===

impl TurnState {
    /// Its name in tables, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended(end) => end.as_str(),
        }
    }

    /// Reads the name back.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "answered" => Self::Ended(TurnEnd::Answered),
            "refused" => Self::Ended(TurnEnd::Refused),
            "cancelled" => Self::Ended(TurnEnd::Cancelled),
            "failed" => Self::Ended(TurnEnd::Failed),
            _ => return None,
        })
    }
}

// === impl TurnEnd ===

impl TurnEnd {
    /// Its name in tables, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
