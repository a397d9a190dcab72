//! What was said: the utterances of a conversation's transcript.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, MessageId, PersonId, PlatformMessageId, TurnId};

/// One utterance in a conversation's transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id; grows in the order of arrival.
    pub id: MessageId,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The turn that it asks for or answers; none for what was merely overheard.
    pub turn: Option<TurnId>,
    /// What it is to the conversation.
    pub kind: MessageKind,
    /// Who said it; none when it was us.
    pub person: Option<PersonId>,
    /// The person's name at that time.
    pub name: Option<String>,
    /// The text, Markdown where it is ours.
    pub text: String,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
    /// Its id on the platform, for edits and reactions.
    pub platform_id: Option<PlatformMessageId>,
    /// When it was said.
    pub at: Timestamp,
}

/// What a message is to its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A person asks us.
    Prompt,
    /// A person says something to others; context, not a question.
    Aside,
    /// A person gives a chat command; never part of a prompt.
    Command,
    /// Our answer, made by a model or a flow.
    Reply,
    /// A fixed text of ours; never part of a prompt.
    Notice,
}

/// A file that came with a message, by the platform's reference.
///
/// The bytes stay with the platform until a model that can read them asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// What it is.
    pub kind: AttachmentKind,
    /// The platform's reference, for fetching it.
    pub reference: String,
    /// The file's name, where it has one.
    pub name: Option<String>,
    /// Its media type, where the platform says.
    pub media_type: Option<String>,
    /// Its size in bytes, where the platform says.
    pub bytes: Option<u64>,
}

/// What an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    /// A picture.
    Image,
    /// A voice note or music.
    Audio,
    /// A moving picture.
    Video,
    /// Any other file.
    Document,
    /// A sticker, location, contact or what else a platform knows.
    Other,
}

// === impl MessageKind ===

impl MessageKind {
    /// Every kind.
    pub const ALL: [MessageKind; 5] = [
        Self::Prompt,
        Self::Aside,
        Self::Command,
        Self::Reply,
        Self::Notice,
    ];

    /// Its name in tables and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Aside => "aside",
            Self::Command => "command",
            Self::Reply => "reply",
            Self::Notice => "notice",
        }
    }
}
