//! Rows to words and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tertulia_domain::{
    Ask, ConversationId, ConversationKey, Delivery, DeliveryId, DeliveryState, Language, Message,
    MessageId, MessageKind, PersonId, Place, PlatformMessageId, Timestamp, Turn, TurnId, TurnState,
};

use crate::fault::{Fault, Tried};

/// The text of a key column that may be absent.
pub(crate) fn or_empty<T: AsRef<str>>(text: Option<&T>) -> &str {
    text.map_or("", AsRef::as_ref)
}

/// What stands behind a key column: absent when empty.
pub(crate) fn non_empty<T: From<String>>(text: String) -> Option<T> {
    (!text.is_empty()).then(|| T::from(text))
}

/// The value as JSON text.
pub(crate) fn json<T: Serialize>(value: &T) -> Tried<String> {
    Ok(serde_json::to_string(value)?)
}

/// The value of a column that holds JSON.
fn from_json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Tried<T> {
    Ok(serde_json::from_str(row.try_get(column)?)?)
}

/// The person that a text names.
pub(crate) fn person(text: &str) -> Tried<PersonId> {
    PersonId::try_from(text.to_owned()).map_err(|error| Fault::inconsistent(error.to_string()))
}

/// The place in the columns `account`, `chat` and `thread`.
pub(crate) fn place(row: &SqliteRow) -> Tried<Place> {
    Ok(Place {
        account: row.try_get::<String, _>("account")?.into(),
        chat: row.try_get::<String, _>("chat")?.into(),
        thread: non_empty(row.try_get("thread")?),
    })
}

/// The key of a row of `conversations`.
pub(crate) fn key(row: &SqliteRow) -> Tried<ConversationKey> {
    let by: &str = row.try_get("person")?;
    Ok(ConversationKey {
        place: place(row)?,
        person: if by.is_empty() {
            None
        } else {
            Some(person(by)?)
        },
    })
}

/// The sort of an ask, as the column `asks` has it.
pub(crate) fn sort(ask: &Ask) -> &'static str {
    match ask {
        Ask::Chat => "chat",
        Ask::Command(_) => "command",
        Ask::Retry(_) => "retry",
        Ask::Refusal(_) => "refusal",
    }
}

/// A row of `turns`.
pub(crate) fn turn(row: &SqliteRow) -> Tried<Turn> {
    Ok(Turn {
        id: TurnId(row.try_get("id")?),
        conversation: ConversationId(row.try_get("conversation")?),
        number: row.try_get("number")?,
        place: place(row)?,
        private: row.try_get("private")?,
        person: person(row.try_get("person")?)?,
        language: Language::from_tag(row.try_get("language")?),
        reply_to: platform_id(row, "reply_to")?,
        ask: from_json(row, "ask")?,
        state: turn_state(row.try_get("state")?)?,
        attempts: row.try_get("attempts")?,
        stopped: row.try_get("stopped")?,
        ready_at: Timestamp(row.try_get("ready_at")?),
        created_at: Timestamp(row.try_get("created_at")?),
    })
}

/// The state of a turn by its name.
pub(crate) fn turn_state(name: &str) -> Tried<TurnState> {
    TurnState::parse(name)
        .ok_or_else(|| Fault::inconsistent(format!("no turn can be in the state {name:?}")))
}

/// A row of `messages`.
pub(crate) fn message(row: &SqliteRow) -> Tried<Message> {
    Ok(Message {
        id: MessageId(row.try_get("id")?),
        conversation: ConversationId(row.try_get("conversation")?),
        turn: row.try_get::<Option<i64>, _>("turn")?.map(TurnId),
        kind: kind(row.try_get("kind")?)?,
        person: row
            .try_get::<Option<&str>, _>("person")?
            .map(person)
            .transpose()?,
        name: row.try_get("name")?,
        text: row.try_get("text")?,
        attachments: from_json(row, "attachments")?,
        platform_id: platform_id(row, "platform_id")?,
        at: Timestamp(row.try_get("at")?),
    })
}

/// The kind of a message by its name.
pub(crate) fn kind(name: &str) -> Tried<MessageKind> {
    MessageKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == name)
        .ok_or_else(|| Fault::inconsistent(format!("no message is of the kind {name:?}")))
}

/// A row of `deliveries`.
pub(crate) fn delivery(row: &SqliteRow) -> Tried<Delivery> {
    let state: &str = row.try_get("state")?;
    Ok(Delivery {
        id: DeliveryId(row.try_get("id")?),
        conversation: ConversationId(row.try_get("conversation")?),
        turn: TurnId(row.try_get("turn")?),
        part: row.try_get("part")?,
        place: place(row)?,
        reply_to: platform_id(row, "reply_to")?,
        content: from_json(row, "content")?,
        buttons: from_json(row, "buttons")?,
        state: DeliveryState::parse(state)
            .ok_or_else(|| Fault::inconsistent(format!("no delivery is in the state {state:?}")))?,
        message: platform_id(row, "message")?,
    })
}

fn platform_id(row: &SqliteRow, column: &str) -> Tried<Option<PlatformMessageId>> {
    Ok(row
        .try_get::<Option<String>, _>(column)?
        .map(PlatformMessageId::from))
}
