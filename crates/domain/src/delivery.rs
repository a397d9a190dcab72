//! One part of a reply placed on the platform: a row of the outbox.

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, DeliveryId, PlatformMessageId, TurnId};
use crate::place::Place;
use crate::styled::Styled;

/// One message of ours on the platform: what it shall show, and whether it does.
///
/// With `message` present the platform already shows an earlier form, and delivering is an edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id; grows in the order of placing.
    pub id: DeliveryId,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The turn that it answers.
    pub turn: TurnId,
    /// The part of the reply, from 0.
    pub part: u32,
    /// Where it goes.
    pub place: Place,
    /// The message that it is a reply to.
    pub reply_to: Option<PlatformMessageId>,
    /// What it shall show.
    pub content: Styled,
    /// The buttons below it.
    pub buttons: Vec<Button>,
    /// How far it is.
    pub state: DeliveryState,
    /// Its id on the platform, once known.
    pub message: Option<PlatformMessageId>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits to be sent.
    Pending,
    /// Is on its way; after a crash nobody knows whether it arrived.
    Sending,
    /// Stands on the platform.
    Sent,
    /// Was on its way when we lost sight of it.
    InDoubt,
    /// Given up: the place cannot be reached or refuses the content.
    Dropped,
}

/// A button below a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Button {
    /// What pressing it does.
    pub action: ButtonAction,
    /// The turn that it concerns.
    pub turn: TurnId,
}

/// What pressing a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    /// Stops the answer that is being made.
    Stop,
    /// Asks for another answer.
    Retry,
    /// Judges the answer good.
    Like,
    /// Judges the answer bad.
    Dislike,
}

// === impl DeliveryState ===

impl DeliveryState {
    /// Its name in tables, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::InDoubt => "in_doubt",
            Self::Dropped => "dropped",
        }
    }

    /// Reads the name back.
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Sending,
            Self::Sent,
            Self::InDoubt,
            Self::Dropped,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }
}

// === impl Button ===

impl Button {
    /// A short text that names it, for platforms that carry one through (at most 28 bytes).
    pub fn token(self) -> String {
        let action = match self.action {
            ButtonAction::Stop => "stop",
            ButtonAction::Retry => "retry",
            ButtonAction::Like => "like",
            ButtonAction::Dislike => "dislike",
        };
        format!("{action}:{}", self.turn)
    }

    /// Reads the token back.
    pub fn from_token(token: &str) -> Option<Self> {
        let (action, turn) = token.split_once(':')?;
        let action = match action {
            "stop" => ButtonAction::Stop,
            "retry" => ButtonAction::Retry,
            "like" => ButtonAction::Like,
            "dislike" => ButtonAction::Dislike,
            _ => return None,
        };
        Some(Self {
            action,
            turn: turn.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_survives_its_token_and_nothing_else_does() {
        for action in [
            ButtonAction::Stop,
            ButtonAction::Retry,
            ButtonAction::Like,
            ButtonAction::Dislike,
        ] {
            let button = Button {
                action,
                turn: TurnId(i64::MAX),
            };
            assert!(button.token().len() <= 28);
            assert_eq!(Button::from_token(&button.token()), Some(button));
        }
        for other in ["", "stop", "stop:", "stop:x", "halt:1"] {
            assert_eq!(Button::from_token(other), None, "{other}");
        }
    }
}
