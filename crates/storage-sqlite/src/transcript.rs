//! Conversations come to be and messages join them: what arrivals and answers both need.

use sqlx::SqliteConnection;
use tertulia_domain::{
    ConversationId, ConversationKey, PersonId, PlatformMessageId, Timestamp, TurnId,
};
use tertulia_storage::NewMessage;

use crate::fault::Tried;
use crate::places;
use crate::row::{json, or_empty};

/// The conversation with this key; made if it is new.
pub(crate) async fn conversation(
    connection: &mut SqliteConnection,
    key: &ConversationKey,
    private: bool,
    person: Option<&PersonId>,
    at: Timestamp,
) -> Tried<ConversationId> {
    let owner = person.filter(|_| private).map(PersonId::to_string);
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO conversations \
         (account, chat, thread, person, private, owner, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) \
         ON CONFLICT (account, chat, thread, person) DO UPDATE SET \
           updated_at = max(updated_at, excluded.updated_at), \
           owner = coalesce(owner, excluded.owner) \
         RETURNING id",
    )
    .bind(key.place.account.as_str())
    .bind(key.place.chat.as_str())
    .bind(or_empty(key.place.thread.as_ref()))
    .bind(
        key.person
            .as_ref()
            .map(PersonId::to_string)
            .unwrap_or_default(),
    )
    .bind(private)
    .bind(owner)
    .bind(at.0)
    .fetch_one(connection)
    .await?;
    Ok(ConversationId(id))
}

/// Adds a message; without an anchor it is anchored at itself.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    turn: Option<TurnId>,
    anchor: Option<i64>,
    state: &str,
    message: &NewMessage,
) -> Tried<()> {
    let id = next_message(connection).await?;
    sqlx::query(
        "INSERT INTO messages (id, conversation, turn, anchor, kind, state, person, name, text, \
         attachments, platform_id, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
    .bind(id)
    .bind(conversation.0)
    .bind(turn.map(|turn| turn.0))
    .bind(anchor.unwrap_or(id))
    .bind(message.kind.as_str())
    .bind(state)
    .bind(message.person.as_ref().map(PersonId::to_string))
    .bind(&message.name)
    .bind(&message.text)
    .bind(json(&message.attachments)?)
    .bind(message.platform_id.as_ref().map(PlatformMessageId::as_str))
    .bind(message.at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// The id that the next message will have, wherever; safe to use because only we write.
pub(crate) async fn next_message(connection: &mut SqliteConnection) -> Tried<i64> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
            .fetch_optional(connection)
            .await?;
    Ok(last.unwrap_or(0) + 1)
}

/// The latest message of a conversation; 0 where nothing was said.
pub(crate) async fn latest_message(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
) -> Tried<i64> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(id) FROM messages WHERE conversation = ?1")
            .bind(conversation.0)
            .fetch_one(connection)
            .await?;
    Ok(last.unwrap_or(0))
}

/// Notes a message of the conversation's chat, where the platform gave it an id.
pub(crate) async fn seen(
    connection: &mut SqliteConnection,
    key: &ConversationKey,
    private: bool,
    message: Option<&PlatformMessageId>,
    at: Timestamp,
) -> Tried<()> {
    match message {
        Some(message) => {
            let place = &key.place;
            places::seen(
                connection,
                &place.account,
                &place.chat,
                private,
                message,
                at,
            )
            .await
        }
        None => Ok(()),
    }
}
