//! A prompt becomes a turn, or a piece of the one that waits for its pieces.

use sqlx::{Row, SqliteConnection};
use tertulia_domain::{Ask, ConversationId, PlatformMessageId, Refusal, Timestamp, TurnId};
use tertulia_storage::NewPrompt;

use crate::fault::Tried;
use crate::row::{json, or_empty, sort};
use crate::transcript;

/// The latest turn of a person in a conversation, if it still waits for pieces of its prompt.
///
/// Only the latest: a piece never overtakes a command that the person gave in between.
pub(crate) const JOINABLE: &str = "\
    SELECT id, anchor FROM turns \
    WHERE id = (SELECT max(id) FROM turns \
                WHERE conversation = ?1 AND person = ?2 AND ended_at IS NULL) \
      AND asks = 'chat' AND state = 'queued' AND stopped = 0 AND ready_at > ?3";

pub(crate) const OPEN: &str =
    "SELECT count(*) FROM turns WHERE conversation = ?1 AND ended_at IS NULL";

/// A prompt joins the turn that waits for it or makes a new one; the id only of a new one.
pub(super) async fn ask(
    connection: &mut SqliteConnection,
    at: Timestamp,
    prompt: &NewPrompt,
) -> Tried<(ConversationId, Option<TurnId>)> {
    let conversation = transcript::conversation(
        connection,
        &prompt.key,
        prompt.private,
        Some(&prompt.person),
        at,
    )
    .await?;
    know(connection, prompt, at).await?;
    if let Some(message) = &prompt.message {
        let id = message.platform_id.as_ref();
        transcript::seen(connection, &prompt.key, prompt.private, id, at).await?;
    }

    let mut ask = prompt.ask.clone();
    if ask == Ask::Chat {
        if join(connection, conversation, at, prompt).await? {
            return Ok((conversation, None));
        }
        let open: i64 = sqlx::query_scalar(OPEN)
            .bind(conversation.0)
            .fetch_one(&mut *connection)
            .await?;
        if open >= i64::from(prompt.open_max) {
            ask = Ask::Refusal(Refusal::Overloaded);
        }
    }

    let number: i64 = sqlx::query_scalar(
        "UPDATE conversations SET turns = turns + 1 WHERE id = ?1 RETURNING turns",
    )
    .bind(conversation.0)
    .fetch_one(&mut *connection)
    .await?;
    let anchor = match &prompt.message {
        Some(_) => transcript::next_message(connection).await?,
        None => transcript::latest_message(connection, conversation).await?,
    };
    let turn: i64 = sqlx::query_scalar(
        "INSERT INTO turns (conversation, number, account, chat, thread, private, person, \
         language, reply_to, asks, ask, anchor, ready_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) RETURNING id",
    )
    .bind(conversation.0)
    .bind(number)
    .bind(prompt.place.account.as_str())
    .bind(prompt.place.chat.as_str())
    .bind(or_empty(prompt.place.thread.as_ref()))
    .bind(prompt.private)
    .bind(prompt.person.to_string())
    .bind(prompt.language.tag())
    .bind(prompt.reply_to.as_ref().map(PlatformMessageId::as_str))
    .bind(sort(&ask))
    .bind(json(&ask)?)
    .bind(anchor)
    .bind(prompt.ready_at.0)
    .bind(at.0)
    .fetch_one(&mut *connection)
    .await?;
    let turn = TurnId(turn);
    if let Some(message) = &prompt.message {
        // What is refused unseen was never part of the talk.
        let state = match ask {
            Ask::Refusal(_) => "undone",
            _ => "live",
        };
        transcript::insert(
            connection,
            conversation,
            Some(turn),
            Some(anchor),
            state,
            message,
        )
        .await?;
    }
    Ok((conversation, Some(turn)))
}

async fn join(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    at: Timestamp,
    prompt: &NewPrompt,
) -> Tried<bool> {
    let Some(waiting) = sqlx::query(JOINABLE)
        .bind(conversation.0)
        .bind(prompt.person.to_string())
        .bind(at.0)
        .fetch_optional(&mut *connection)
        .await?
    else {
        return Ok(false);
    };
    let turn = TurnId(waiting.try_get("id")?);
    let anchor = waiting.try_get("anchor")?;
    sqlx::query("UPDATE turns SET ready_at = max(ready_at, ?2) WHERE id = ?1")
        .bind(turn.0)
        .bind(prompt.ready_at.0)
        .execute(&mut *connection)
        .await?;
    if let Some(message) = &prompt.message {
        transcript::insert(
            connection,
            conversation,
            Some(turn),
            Some(anchor),
            "live",
            message,
        )
        .await?;
    }
    Ok(true)
}

async fn know(connection: &mut SqliteConnection, prompt: &NewPrompt, at: Timestamp) -> Tried<()> {
    sqlx::query(
        "INSERT INTO people (person, name, handle, language, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5) \
         ON CONFLICT (person) DO UPDATE SET name = excluded.name, handle = excluded.handle, \
           language = excluded.language, updated_at = excluded.updated_at",
    )
    .bind(prompt.person.to_string())
    .bind(&prompt.name)
    .bind(&prompt.handle)
    .bind(prompt.language.tag())
    .bind(at.0)
    .execute(connection)
    .await?;
    Ok(())
}
