//! What happens on a platform, translated at the door.

use tertulia_domain::{
    AccountId, Attachment, Button, ChatId, Language, PersonId, Place, PlatformMessageId, Timestamp,
};

/// What happened, as far as it matters to us.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody said something.
    Said(Box<Said>),
    /// Somebody changed what they had said.
    Edited(Edited),
    /// Somebody pressed a button of ours, or the platform's own stop button.
    Pressed(Pressed),
    /// Somebody reacted to a message of ours with an emoji, or took a reaction back.
    Reacted(Reacted),
    /// A chat goes on under another id.
    Moved(Moved),
    /// A chat can, or can no longer, be reached.
    Reach(Reach),
}

/// Somebody said something.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one message, not states"
)]
pub struct Said {
    /// Where.
    pub place: Place,
    /// Whether only this person and we are there.
    pub private: bool,
    /// Who.
    pub person: PersonId,
    /// The person's name as shown.
    pub name: String,
    /// The person's `@name`, without the `@`.
    pub handle: Option<String>,
    /// The chat's `@name`, without the `@`.
    pub chat_handle: Option<String>,
    /// Whether it is a program, such as another bot.
    pub automated: bool,
    /// The language of the person's client.
    pub language: Language,
    /// The message's id.
    pub message: PlatformMessageId,
    /// The message that it answers.
    pub reply_to: Option<ReplyTo>,
    /// The text; a mention of us at its start or end is cut off.
    pub text: String,
    /// Whether we are mentioned.
    pub mentioned: bool,
    /// Whether the text starts with a command that names somebody else.
    pub for_another: bool,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
    /// Pieces that belong together (an album) share this.
    pub bundle: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The message that a message answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyTo {
    /// Its id.
    pub message: PlatformMessageId,
    /// Whether it is ours.
    pub ours: bool,
    /// Who said it, as shown.
    pub name: Option<String>,
    /// What it says, or the part that is quoted.
    pub text: String,
}

/// Somebody changed what they had said.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// Where.
    pub place: Place,
    /// Which message.
    pub message: PlatformMessageId,
    /// What it says now.
    pub text: String,
}

/// Somebody pressed a button.
#[derive(Clone, Debug, PartialEq)]
pub struct Pressed {
    /// Where.
    pub place: Place,
    /// Whether only this person and we are there.
    pub private: bool,
    /// Who.
    pub person: PersonId,
    /// The person's name as shown.
    pub name: String,
    /// The person's `@name`, without the `@`.
    pub handle: Option<String>,
    /// The language of the person's client.
    pub language: Language,
    /// The button, as the platform carried it through: to be checked against the place.
    pub button: Button,
    /// When.
    pub at: Timestamp,
}

/// Somebody reacted to a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Reacted {
    /// Where.
    pub place: Place,
    /// Who.
    pub person: PersonId,
    /// The message.
    pub message: PlatformMessageId,
    /// The emoji; none when a reaction was taken back.
    pub emoji: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A chat goes on under another id.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The account that is in the chat.
    pub account: AccountId,
    /// The id until now.
    pub from: ChatId,
    /// The id from now on.
    pub to: ChatId,
}

/// A chat can, or can no longer, be reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The account that is in the chat.
    pub account: AccountId,
    /// The chat.
    pub chat: ChatId,
    /// Why it cannot be reached; none if it can.
    pub unreachable: Option<Unreachable>,
}

/// Why a chat cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// The person blocked us.
    Blocked,
    /// We were removed from the chat, or may not write there.
    Removed,
    /// The chat or the person is no more.
    Gone,
}

// === impl Unreachable ===

impl Unreachable {
    /// Its name in tables and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Removed => "removed",
            Self::Gone => "gone",
        }
    }
}
