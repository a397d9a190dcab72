//! Erasing a person.
//!
//! A person's private conversations go whole; so do conversations in groups that only that person
//! has. Elsewhere go what the person said, what was answered, the turns around both, and every
//! summary. Raw updates lose text and person but keep their key, so that a repeated one is still
//! known. What was spent stays for the chat's budget, without the person.
//!
//! With `keep`, what the person said after that turn is a new beginning and stays: it was
//! confirmed and will be answered (promise G1).

use sqlx::{Row, SqliteConnection};
use tertulia_domain::{PersonId, TurnId};

use crate::fault::Tried;

/// Erases everything about the person up to the turn `keep`; how many messages.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    person: &PersonId,
    keep: Option<TurnId>,
) -> Tried<u64> {
    let person = person.to_string();
    let keep = keep.map_or(i64::MAX, |turn| turn.0);
    // Messages from here on are the new beginning.
    let kept: Option<i64> = sqlx::query_scalar(
        "SELECT max(coalesce((SELECT max(id) FROM messages WHERE turn = t.id), 0), t.anchor) \
         FROM turns t WHERE t.id = ?1 AND t.person = ?2",
    )
    .bind(keep)
    .bind(&person)
    .fetch_optional(&mut *connection)
    .await?;
    let upto = kept.unwrap_or(i64::MAX);

    let mut erased = 0;
    let messages: [(&'static str, &[i64]); 4] = [
        // Their conversations, whoever spoke.
        (
            "DELETE FROM messages WHERE id <= ?2 AND (turn IS NULL OR turn < ?3) \
               AND conversation IN (SELECT id FROM conversations WHERE owner = ?1 OR person = ?1)",
            &[upto, keep],
        ),
        // What was answered to them, by retries of others too.
        (
            "DELETE FROM messages WHERE id IN \
               (SELECT m.id FROM turns t JOIN messages m \
                  ON m.conversation = t.conversation AND m.anchor = t.anchor \
                WHERE t.person = ?1 AND t.id < ?3 AND t.asks = 'chat' \
                  AND m.kind IN ('reply', 'notice') AND m.id <= ?2)",
            &[upto, keep],
        ),
        (
            "DELETE FROM messages WHERE turn IN \
               (SELECT id FROM turns WHERE person = ?1 AND id < ?2)",
            &[keep],
        ),
        // What they said to others.
        (
            "DELETE FROM messages WHERE person = ?1 AND id <= ?2 AND (turn IS NULL OR turn < ?3)",
            &[upto, keep],
        ),
    ];
    // Wherever the person spoke a summary may speak of them; asked while their words still tell.
    let summaries = "DELETE FROM summaries WHERE conversation IN \
           (SELECT conversation FROM messages WHERE person = ?1 \
            UNION SELECT conversation FROM turns WHERE person = ?1 \
            UNION SELECT id FROM conversations WHERE owner = ?1 OR person = ?1)";
    run(connection, summaries, &person, &[]).await?;
    for (statement, bounds) in messages {
        erased += run(connection, statement, &person, bounds).await?;
    }
    erased += blank(connection, keep).await?;

    let traces: [(&'static str, &[i64]); 6] = [
        ("DELETE FROM turns WHERE person = ?1 AND id < ?2", &[keep]),
        (
            "DELETE FROM feedback WHERE person = ?1 AND turn <= ?2",
            &[keep],
        ),
        (
            "UPDATE usage SET person = '' WHERE person = ?1 AND turn <= ?2",
            &[keep],
        ),
        (
            "UPDATE updates SET raw = '', person = NULL WHERE person = ?1",
            &[],
        ),
        ("DELETE FROM people WHERE person = ?1", &[]),
        (
            "DELETE FROM places WHERE (account, chat) IN \
               (SELECT c.account, c.chat FROM conversations c \
                WHERE c.owner = ?1 AND c.private = 1 \
                  AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation = c.id))",
            &[],
        ),
    ];
    for (statement, bounds) in traces {
        run(connection, statement, &person, bounds).await?;
    }
    empty_conversations(connection, &person).await?;
    Ok(erased)
}

/// Runs a statement about the person (?1) within bounds (?2 and on); how many rows it touched.
async fn run(
    connection: &mut SqliteConnection,
    statement: &'static str,
    person: &str,
    bounds: &[i64],
) -> Tried<u64> {
    let mut query = sqlx::query(statement).bind(person);
    for bound in bounds {
        query = query.bind(bound);
    }
    Ok(query.execute(connection).await?.rows_affected())
}

/// Takes the texts out of the turn in which the person asks to be forgotten.
async fn blank(connection: &mut SqliteConnection, keep: i64) -> Tried<u64> {
    let blanked = sqlx::query(
        "UPDATE messages SET text = '', name = NULL, attachments = '[]' \
         WHERE turn = ?1 AND (text <> '' OR name IS NOT NULL)",
    )
    .bind(keep)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE turns SET ask = json_set(ask, '$.command.rest', '') \
         WHERE id = ?1 AND asks = 'command'",
    )
    .bind(keep)
    .execute(connection)
    .await?;
    Ok(blanked.rows_affected())
}

/// Erases the person's conversations, where a turn still needs one only what was chosen for it.
async fn empty_conversations(connection: &mut SqliteConnection, person: &str) -> Tried<()> {
    let conversations = sqlx::query(
        "SELECT c.id, EXISTS (SELECT 1 FROM turns t WHERE t.conversation = c.id) AS used \
         FROM conversations c WHERE c.owner = ?1 OR c.person = ?1",
    )
    .bind(person)
    .fetch_all(&mut *connection)
    .await?;
    for found in conversations {
        let statement = if found.try_get::<bool, _>("used")? {
            "UPDATE conversations SET persona = NULL, model = NULL WHERE id = ?1"
        } else {
            "DELETE FROM conversations WHERE id = ?1"
        };
        sqlx::query(statement)
            .bind(found.try_get::<i64, _>("id")?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
