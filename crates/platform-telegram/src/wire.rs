//! What we read of an update, and nothing else.
//!
//! These are not `teloxide-core`'s types: those read a message as a whole and fail as a whole,
//! so one field that a newer server writes differently would leave a confirmed message
//! unanswered. Here everything that we can do without is read leniently.

#![expect(
    clippy::struct_field_names,
    reason = "fields are named as the Bot API names them"
)]

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A message as it came.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) message_id: i64,
    #[serde(default)]
    pub(crate) date: i64,
    pub(crate) chat: Chat,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) from: Option<User>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) sender_chat: Option<Chat>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) message_thread_id: Option<i64>,
    #[serde(default)]
    pub(crate) is_topic_message: bool,
    #[serde(default)]
    pub(crate) is_automatic_forward: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) media_group_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) text: Option<String>,
    #[serde(default, deserialize_with = "lenient_each")]
    pub(crate) entities: Vec<Entity>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) caption: Option<String>,
    #[serde(default, deserialize_with = "lenient_each")]
    pub(crate) caption_entities: Vec<Entity>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) reply_to_message: Option<Box<Message>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) quote: Option<Quote>,
    #[serde(default, deserialize_with = "lenient_each")]
    pub(crate) photo: Vec<PhotoSize>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) voice: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) audio: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) video: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) video_note: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) animation: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) document: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) sticker: Option<File>,
    #[serde(default)]
    pub(crate) location: Option<Value>,
    #[serde(default)]
    pub(crate) contact: Option<Value>,
    #[serde(default)]
    pub(crate) poll: Option<Value>,
    #[serde(default)]
    pub(crate) dice: Option<Value>,
    #[serde(default)]
    pub(crate) story: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) migrate_to_chat_id: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) migrate_from_chat_id: Option<i64>,
}

/// A chat as it came.
#[derive(Debug, Deserialize)]
pub(crate) struct Chat {
    pub(crate) id: i64,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) title: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) username: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) last_name: Option<String>,
}

/// A person or a bot as it came.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) is_bot: bool,
    #[serde(default)]
    pub(crate) first_name: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) last_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) username: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) language_code: Option<String>,
}

/// A stretch of text with a meaning; offsets count UTF-16 units.
#[derive(Debug, Deserialize)]
pub(crate) struct Entity {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) offset: usize,
    pub(crate) length: usize,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) user: Option<User>,
}

/// The part of a message that an answer quotes.
#[derive(Debug, Deserialize)]
pub(crate) struct Quote {
    pub(crate) text: String,
}

/// One size of a photo.
#[derive(Debug, Deserialize)]
pub(crate) struct PhotoSize {
    pub(crate) file_id: String,
    #[serde(default)]
    pub(crate) width: u64,
    #[serde(default)]
    pub(crate) height: u64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) file_size: Option<u64>,
}

/// Any other file.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) file_id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) file_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) mime_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) file_size: Option<u64>,
}

/// A pressed button.
#[derive(Debug, Deserialize)]
pub(crate) struct CallbackQuery {
    pub(crate) from: User,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) message: Option<Message>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) data: Option<String>,
}

/// A changed reaction.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageReaction {
    pub(crate) chat: Chat,
    pub(crate) message_id: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) user: Option<User>,
    #[serde(default)]
    pub(crate) date: i64,
    #[serde(default, deserialize_with = "lenient_each")]
    pub(crate) old_reaction: Vec<Reaction>,
    #[serde(default, deserialize_with = "lenient_each")]
    pub(crate) new_reaction: Vec<Reaction>,
}

/// One reaction; without emoji when it is a custom or a paid one.
#[derive(Debug, Deserialize)]
pub(crate) struct Reaction {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) emoji: Option<String>,
}

/// Our own standing in a chat changed.
#[derive(Debug, Deserialize)]
pub(crate) struct MyChatMember {
    pub(crate) chat: Chat,
    pub(crate) new_chat_member: Member,
}

/// A standing in a chat.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) status: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) is_member: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) can_send_messages: Option<bool>,
}

/// Somebody pressed the client's own stop button below a draft.
#[derive(Debug, Deserialize)]
pub(crate) struct StoppedGeneration {
    pub(crate) chat: Chat,
    pub(crate) draft_id: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) message_thread_id: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) from: Option<User>,
}

// === impl Chat ===

impl Chat {
    /// Whether only one person and we are there.
    pub(crate) fn is_private(&self) -> bool {
        if self.kind.is_empty() {
            self.id > 0
        } else {
            self.kind == "private"
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        match &self.title {
            Some(title) => title.clone(),
            None => full_name(self.first_name.as_deref(), self.last_name.as_deref()),
        }
    }
}

// === impl User ===

impl User {
    /// What the person is called.
    pub(crate) fn name(&self) -> String {
        full_name(Some(&self.first_name), self.last_name.as_deref())
    }
}

fn full_name(first: Option<&str>, last: Option<&str>) -> String {
    [first, last]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Reads a field, or does without it.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Reads those elements of a list that can be read.
fn lenient_each<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let Value::Array(values) = Value::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    Ok(values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect())
}
