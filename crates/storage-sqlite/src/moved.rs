//! A chat goes on under another id.
//!
//! The new chat numbers its messages anew, so platform ids of the old one are forgotten wherever
//! they could be mistaken for the new one's; settled deliveries stay where they were placed.

use sqlx::{Row, SqliteConnection};
use tertulia_domain::{AccountId, ChatId, ConversationId};

use crate::fault::Tried;

/// Moves everything of a chat; the conversations that now have something to do.
pub(crate) async fn move_chat(
    connection: &mut SqliteConnection,
    account: &AccountId,
    from: &ChatId,
    to: &ChatId,
) -> Tried<Vec<ConversationId>> {
    if from == to {
        return Ok(Vec::new());
    }
    let conversations = sqlx::query(
        "SELECT o.id, n.id AS other FROM conversations o \
         LEFT JOIN conversations n ON n.account = o.account AND n.chat = ?3 \
           AND n.thread = o.thread AND n.person = o.person \
         WHERE o.account = ?1 AND o.chat = ?2 ORDER BY o.id",
    )
    .bind(account.as_str())
    .bind(from.as_str())
    .bind(to.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let mut moved = Vec::with_capacity(conversations.len());
    for found in &conversations {
        let earlier: i64 = found.try_get("id")?;
        forget_places(connection, earlier, to).await?;
        let now = match found.try_get::<Option<i64>, _>("other")? {
            Some(other) => {
                merge(connection, earlier, other).await?;
                other
            }
            None => {
                sqlx::query("UPDATE conversations SET chat = ?2 WHERE id = ?1")
                    .bind(earlier)
                    .bind(to.as_str())
                    .execute(&mut *connection)
                    .await?;
                earlier
            }
        };
        moved.push(ConversationId(now));
    }
    // What is known about reaching the old chat or its threads says nothing about the new one.
    sqlx::query("DELETE FROM places WHERE account = ?1 AND chat = ?2")
        .bind(account.as_str())
        .bind(from.as_str())
        .execute(connection)
        .await?;
    Ok(moved)
}

/// Lets turns and waiting deliveries follow, without the ids of messages that stayed behind.
async fn forget_places(
    connection: &mut SqliteConnection,
    conversation: i64,
    to: &ChatId,
) -> Tried<()> {
    sqlx::query("UPDATE turns SET chat = ?2, reply_to = NULL WHERE conversation = ?1")
        .bind(conversation)
        .bind(to.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE deliveries SET chat = ?2, reply_to = NULL, message = NULL, begun_after = NULL \
         WHERE conversation = ?1 AND state IN ('pending', 'sending', 'in_doubt')",
    )
    .bind(conversation)
    .bind(to.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE messages SET platform_id = NULL WHERE conversation = ?1")
        .bind(conversation)
        .execute(connection)
        .await?;
    Ok(())
}

/// The conversation `later` takes in `earlier`, whose messages and turns come first.
async fn merge(connection: &mut SqliteConnection, earlier: i64, later: i64) -> Tried<()> {
    shift(connection, earlier, later).await?;

    // Two steps with other signs, because numbers are unique at every moment.
    let numbered: i64 = sqlx::query_scalar("SELECT turns FROM conversations WHERE id = ?1")
        .bind(earlier)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query("UPDATE turns SET number = -(number + ?2) WHERE conversation = ?1")
        .bind(later)
        .bind(numbered)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE turns SET number = -number WHERE conversation = ?1")
        .bind(later)
        .execute(&mut *connection)
        .await?;

    for statement in [
        "UPDATE turns SET conversation = ?2 WHERE conversation = ?1",
        "UPDATE messages SET conversation = ?2 WHERE conversation = ?1",
        "UPDATE deliveries SET conversation = ?2 WHERE conversation = ?1",
        "UPDATE usage SET conversation = ?2 WHERE conversation = ?1",
        // A summary of the earlier one would count as the latest if it was made later; it is kept
        // only where the later one has none. What is left goes with its conversation.
        "UPDATE summaries SET conversation = ?2 WHERE conversation = ?1 AND NOT EXISTS \
           (SELECT 1 FROM summaries s WHERE s.conversation = ?2 AND s.undone_at IS NULL)",
        "UPDATE conversations SET \
           turns = turns + (SELECT turns FROM conversations WHERE id = ?1), \
           fresh_after = max(fresh_after, (SELECT fresh_after FROM conversations WHERE id = ?1)), \
           window_after = max(window_after, \
             (SELECT window_after FROM conversations WHERE id = ?1)), \
           persona = coalesce(persona, (SELECT persona FROM conversations WHERE id = ?1)), \
           model = coalesce(model, (SELECT model FROM conversations WHERE id = ?1)) \
         WHERE id = ?2",
    ] {
        sqlx::query(statement)
            .bind(earlier)
            .bind(later)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("DELETE FROM conversations WHERE id = ?1")
        .bind(earlier)
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives the messages of `later` new ids behind all others, where they would come too early.
async fn shift(connection: &mut SqliteConnection, earlier: i64, later: i64) -> Tried<()> {
    let overlap: bool = sqlx::query_scalar(
        "SELECT coalesce((SELECT max(id) FROM messages WHERE conversation = ?1) > \
                         (SELECT min(anchor) FROM messages WHERE conversation = ?2), 0)",
    )
    .bind(earlier)
    .bind(later)
    .fetch_one(&mut *connection)
    .await?;
    if !overlap {
        return Ok(());
    }
    let by: i64 = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
        .fetch_one(&mut *connection)
        .await?;
    for statement in [
        "UPDATE messages SET id = id + ?2, anchor = anchor + ?2 WHERE conversation = ?1",
        "UPDATE turns SET anchor = anchor + ?2 WHERE conversation = ?1",
        "UPDATE summaries SET upto = upto + ?2, \
           window_before = window_before + CASE window_before WHEN 0 THEN 0 ELSE ?2 END \
         WHERE conversation = ?1",
        "UPDATE conversations SET \
           fresh_after = fresh_after + CASE fresh_after WHEN 0 THEN 0 ELSE ?2 END, \
           window_after = window_after + CASE window_after WHEN 0 THEN 0 ELSE ?2 END \
         WHERE id = ?1",
    ] {
        sqlx::query(statement)
            .bind(later)
            .bind(by)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query("UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'messages'")
        .bind(by)
        .execute(connection)
        .await?;
    Ok(())
}
