//! What goes out.

use tertulia_domain::{Button, DeliveryId, Place, PlatformMessageId, Styled, TurnId};

/// One message to place, or to edit if it stands already.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The delivery; the same again means the same message again.
    pub delivery: DeliveryId,
    /// The turn that it answers.
    pub turn: TurnId,
    /// Where it goes.
    pub place: Place,
    /// The message that it is a reply to; placed all the same if that one is gone.
    pub reply_to: Option<PlatformMessageId>,
    /// What it shows.
    pub content: Styled,
    /// The buttons below it.
    pub buttons: Vec<Button>,
    /// The message to edit; none to place a new one.
    pub message: Option<PlatformMessageId>,
    /// Whether it can wait.
    pub urgency: Urgency,
}

/// Whether a message can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The text so far: skipped rather than waited for.
    Live,
    /// The answer: waits as long as the platform says, ahead of everything live.
    Final,
}

/// What is known about where a lost message may stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// The greatest message id known in the chat when the delivery was begun.
    pub after: Option<PlatformMessageId>,
    /// Other messages of ours behind it, which must be left alone.
    pub others: Vec<PlatformMessageId>,
}

/// What became of a delivery that was lost sight of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It stands, under this id.
    Placed(PlatformMessageId),
    /// It does not stand; place it.
    Absent,
    /// Nobody can tell.
    Unknown,
}

/// Something that does not last.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Where to show it.
    pub place: Place,
    /// The turn that is being answered.
    pub turn: TurnId,
    /// The text so far, in Markdown; none to say only that we are at work.
    pub text: Option<String>,
}
