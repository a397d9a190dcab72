//! What is known about reaching places.

use sqlx::{Row, SqliteConnection};
use tertulia_domain::{AccountId, ChatId, ConversationId, Place, PlatformMessageId, Timestamp};
use tertulia_storage::PlaceState;

use crate::fault::Tried;
use crate::row::or_empty;

pub(crate) const WAITING: &str = "\
    SELECT DISTINCT d.conversation FROM conversations c JOIN deliveries d ON d.conversation = c.id \
    WHERE c.account = ?1 AND c.chat = ?2 AND d.state IN ('pending', 'sending', 'in_doubt')";

pub(crate) const STATE: &str = "\
    SELECT thread, unreachable, thread_gone FROM places \
    WHERE account = ?1 AND chat = ?2 AND thread IN ('', ?3)";

/// Notes that a chat cannot be reached, or can.
pub(crate) async fn set_reach(
    connection: &mut SqliteConnection,
    account: &AccountId,
    chat: &ChatId,
    unreachable: Option<&str>,
    now: Timestamp,
) -> Tried<()> {
    sqlx::query(
        "INSERT INTO places (account, chat, thread, unreachable, updated_at) \
         VALUES (?1, ?2, '', ?3, ?4) \
         ON CONFLICT (account, chat, thread) DO UPDATE SET \
           unreachable = excluded.unreachable, updated_at = excluded.updated_at",
    )
    .bind(account.as_str())
    .bind(chat.as_str())
    .bind(unreachable)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a thread is gone.
pub(crate) async fn close_thread(
    connection: &mut SqliteConnection,
    place: &Place,
    now: Timestamp,
) -> Tried<()> {
    let Some(thread) = &place.thread else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO places (account, chat, thread, thread_gone, updated_at) \
         VALUES (?1, ?2, ?3, 1, ?4) \
         ON CONFLICT (account, chat, thread) DO UPDATE SET \
           thread_gone = 1, updated_at = excluded.updated_at",
    )
    .bind(place.account.as_str())
    .bind(place.chat.as_str())
    .bind(thread.as_str())
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// What is known about a place.
pub(crate) async fn state(connection: &mut SqliteConnection, place: &Place) -> Tried<PlaceState> {
    let rows = sqlx::query(STATE)
        .bind(place.account.as_str())
        .bind(place.chat.as_str())
        .bind(or_empty(place.thread.as_ref()))
        .fetch_all(connection)
        .await?;
    let mut state = PlaceState::default();
    for row in rows {
        if row.try_get::<&str, _>("thread")?.is_empty() {
            state.unreachable = row.try_get("unreachable")?;
        } else {
            state.thread_gone = row.try_get("thread_gone")?;
        }
    }
    Ok(state)
}

/// The place that stands for all talks between two of an account: some platforms number the
/// messages of these by one counter.
pub(crate) const PRIVATE: &str = "";

/// Notes a message of a chat, for what is begun after it; ids that are not numbers have no order.
pub(crate) async fn seen(
    connection: &mut SqliteConnection,
    account: &AccountId,
    chat: &ChatId,
    private: bool,
    message: &PlatformMessageId,
    at: Timestamp,
) -> Tried<()> {
    let Ok(number) = message.as_str().parse::<i64>() else {
        return Ok(());
    };
    for chat in [Some(chat.as_str()), private.then_some(PRIVATE)]
        .into_iter()
        .flatten()
    {
        sqlx::query(
            "INSERT INTO places (account, chat, thread, last_message, updated_at) \
             VALUES (?1, ?2, '', ?3, ?4) \
             ON CONFLICT (account, chat, thread) DO UPDATE SET \
               last_message = excluded.last_message, updated_at = excluded.updated_at \
             WHERE last_message IS NULL OR last_message < excluded.last_message",
        )
        .bind(account.as_str())
        .bind(chat)
        .bind(number)
        .bind(at.0)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Conversations of a chat with deliveries that are not settled.
pub(crate) async fn waiting(
    connection: &mut SqliteConnection,
    account: &AccountId,
    chat: &ChatId,
) -> Tried<Vec<ConversationId>> {
    let ids: Vec<i64> = sqlx::query_scalar(WAITING)
        .bind(account.as_str())
        .bind(chat.as_str())
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(ConversationId).collect())
}
