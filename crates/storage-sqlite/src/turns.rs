//! Turns: taken in the order of arrival, each with exactly one end.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use tertulia_domain::{
    Ask, ConversationId, Delivery, Message, MessageKind, Timestamp, Turn, TurnEnd, TurnId, Usage,
};
use tertulia_storage::{Counts, Next, Outcome, StorageError, Turns};

use crate::fault::{Fault, Tried};
use crate::store::SqliteStorage;
use crate::{outbox, row, transcript};

pub(crate) const UNFINISHED: &str = "\
    SELECT conversation FROM turns WHERE ended_at IS NULL \
    UNION \
    SELECT conversation FROM deliveries WHERE state IN ('pending', 'sending', 'in_doubt')";

pub(crate) const OLDEST: &str = "\
    SELECT * FROM turns WHERE conversation = ?1 AND ended_at IS NULL ORDER BY id LIMIT 1";

pub(crate) const ASKED: &str = "\
    SELECT * FROM messages WHERE turn = ?1 AND kind IN ('prompt', 'command') ORDER BY id";

pub(crate) const LAST_CHAT: &str = "\
    SELECT t.id FROM turns t \
    WHERE t.conversation = ?1 AND t.id < ?2 AND t.asks = 'chat' AND t.ended_at IS NOT NULL \
      AND (t.state = 'failed' OR EXISTS (SELECT 1 FROM messages m \
           WHERE m.turn = t.id AND m.kind = 'prompt' AND m.state = 'live')) \
    ORDER BY t.id DESC LIMIT 1";

pub(crate) const STOPPED_BY: &str = "\
    SELECT EXISTS (SELECT 1 FROM turns s JOIN turns t ON s.conversation = t.conversation \
      WHERE t.id = ?1 AND s.id < t.id AND s.stopped = 1 AND s.ended_at >= t.created_at \
        AND s.state = 'cancelled')";

// === impl Turns ===

#[async_trait]
impl Turns for SqliteStorage {
    async fn unfinished(&self) -> Result<Vec<ConversationId>, StorageError> {
        self.read(|connection| {
            Box::pin(async move {
                let ids: Vec<i64> = sqlx::query_scalar(UNFINISHED).fetch_all(connection).await?;
                Ok(ids.into_iter().map(ConversationId).collect())
            })
        })
        .await
    }

    async fn take(
        &self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<Next, StorageError> {
        self.write(move |connection| Box::pin(take(connection, conversation, now)))
            .await
    }

    async fn give_back(&self, turn: TurnId) -> Result<(), StorageError> {
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE turns SET state = 'queued', attempts = max(attempts - 1, 0), \
                     started_at = NULL WHERE id = ?1 AND state = 'running'",
                )
                .bind(turn.0)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    async fn turn(&self, turn: TurnId) -> Result<Option<Turn>, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                sqlx::query("SELECT * FROM turns WHERE id = ?1")
                    .bind(turn.0)
                    .fetch_optional(connection)
                    .await?
                    .map(|found| row::turn(&found))
                    .transpose()
            })
        })
        .await
    }

    async fn asked(&self, turn: TurnId) -> Result<Vec<Message>, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                sqlx::query(ASKED)
                    .bind(turn.0)
                    .fetch_all(connection)
                    .await?
                    .iter()
                    .map(row::message)
                    .collect()
            })
        })
        .await
    }

    async fn last_chat(
        &self,
        conversation: ConversationId,
        before: TurnId,
    ) -> Result<Option<TurnId>, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                let id: Option<i64> = sqlx::query_scalar(LAST_CHAT)
                    .bind(conversation.0)
                    .bind(before.0)
                    .fetch_optional(connection)
                    .await?;
                Ok(id.map(TurnId))
            })
        })
        .await
    }

    async fn stopped_by(&self, turn: TurnId) -> Result<bool, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(STOPPED_BY)
                    .bind(turn.0)
                    .fetch_one(connection)
                    .await?)
            })
        })
        .await
    }

    async fn finish(
        &self,
        turn: TurnId,
        outcome: &Outcome,
    ) -> Result<Option<Vec<Delivery>>, StorageError> {
        let outcome = outcome.clone();
        self.write(move |connection| {
            Box::pin(async move { finish(connection, turn, &outcome).await })
        })
        .await
    }

    async fn counts(&self) -> Result<Counts, StorageError> {
        self.read(|connection| Box::pin(counts(connection))).await
    }
}

async fn take(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    now: Timestamp,
) -> Tried<Next> {
    let Some(found) = sqlx::query(OLDEST)
        .bind(conversation.0)
        .fetch_optional(&mut *connection)
        .await?
    else {
        return Ok(Next::Idle);
    };
    let oldest = row::turn(&found)?;
    let waits = oldest.state == tertulia_domain::TurnState::Queued
        && oldest.ready_at > now
        // Somebody stopped it: no further piece of it is waited for.
        && !oldest.stopped;
    if waits {
        return Ok(Next::NotBefore(oldest.ready_at));
    }
    let taken = sqlx::query(
        "UPDATE turns SET state = 'running', attempts = attempts + 1, started_at = ?2 \
         WHERE id = ?1 RETURNING *",
    )
    .bind(oldest.id.0)
    .bind(now.0)
    .fetch_one(connection)
    .await?;
    Ok(Next::Turn(Box::new(row::turn(&taken)?)))
}

async fn finish(
    connection: &mut SqliteConnection,
    turn: TurnId,
    outcome: &Outcome,
) -> Tried<Option<Vec<Delivery>>> {
    let ended = sqlx::query(
        "UPDATE turns SET state = ?2, ended_at = ?3 WHERE id = ?1 AND ended_at IS NULL \
         RETURNING *",
    )
    .bind(turn.0)
    .bind(outcome.end.as_str())
    .bind(outcome.at.0)
    .fetch_optional(&mut *connection)
    .await?;
    // It has its end, or was erased at the wish of its person.
    let Some(ended) = ended else { return Ok(None) };
    let anchor: i64 = ended.try_get("anchor")?;
    let ended = row::turn(&ended)?;

    let counts = matches!(outcome.end, TurnEnd::Answered | TurnEnd::Cancelled);
    if !counts && ended.ask == Ask::Chat {
        // What got no answer is no part of the talk: the next prompt does not follow from it.
        set_prompts(connection, turn, "undone").await?;
    }
    say(connection, &ended, anchor, counts, outcome).await?;
    for usage in &outcome.usage {
        spend(connection, usage).await?;
    }
    sqlx::query("UPDATE conversations SET updated_at = max(updated_at, ?2) WHERE id = ?1")
        .bind(ended.conversation.0)
        .bind(outcome.at.0)
        .execute(&mut *connection)
        .await?;
    let mut waiting = Vec::with_capacity(outcome.deliveries.len());
    for new in &outcome.deliveries {
        waiting.push(outbox::put(connection, &ended, new, outcome.at).await?);
    }
    Ok(Some(waiting))
}

/// Adds what we said behind the prompt that it answers.
async fn say(
    connection: &mut SqliteConnection,
    ended: &Turn,
    anchor: i64,
    counts: bool,
    outcome: &Outcome,
) -> Tried<()> {
    let Some(said) = &outcome.said else {
        return Ok(());
    };
    let mut anchor = anchor;
    if outcome.subject != ended.id {
        let subject: Option<i64> =
            sqlx::query_scalar("SELECT anchor FROM turns WHERE id = ?1 AND conversation = ?2")
                .bind(outcome.subject.0)
                .bind(ended.conversation.0)
                .fetch_optional(&mut *connection)
                .await?;
        anchor = subject.ok_or_else(|| {
            Fault::inconsistent(format!(
                "turn {} is not of the conversation of turn {}",
                outcome.subject, ended.id
            ))
        })?;
        if counts && said.kind == MessageKind::Reply {
            sqlx::query(
                "UPDATE messages SET state = 'superseded' \
                 WHERE conversation = ?1 AND anchor = ?2 AND kind = 'reply' AND state = 'live'",
            )
            .bind(ended.conversation.0)
            .bind(anchor)
            .execute(&mut *connection)
            .await?;
            // Tried again with success: the prompt counts, even if it failed or was undone.
            set_prompts(connection, outcome.subject, "live").await?;
        }
    }
    let state = if counts { "live" } else { "undone" };
    transcript::insert(
        connection,
        ended.conversation,
        Some(ended.id),
        Some(anchor),
        state,
        said,
    )
    .await
}

async fn set_prompts(connection: &mut SqliteConnection, turn: TurnId, state: &str) -> Tried<()> {
    sqlx::query("UPDATE messages SET state = ?2 WHERE turn = ?1 AND kind = 'prompt'")
        .bind(turn.0)
        .bind(state)
        .execute(connection)
        .await?;
    Ok(())
}

async fn spend(connection: &mut SqliteConnection, usage: &Usage) -> Tried<()> {
    let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO usage (turn, conversation, person, model, prompt_tokens, cached_tokens, \
         reply_tokens, cost, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )
    .bind(usage.turn.0)
    .bind(usage.conversation.0)
    .bind(usage.person.to_string())
    .bind(usage.model.as_str())
    .bind(tokens(usage.prompt_tokens))
    .bind(tokens(usage.cached_tokens))
    .bind(tokens(usage.reply_tokens))
    .bind(usage.cost.0)
    .bind(usage.at.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn counts(connection: &mut SqliteConnection) -> Tried<Counts> {
    let found = sqlx::query(
        "SELECT \
           (SELECT count(*) FROM turns WHERE ended_at IS NULL AND state = 'queued') AS queued, \
           (SELECT count(*) FROM turns WHERE ended_at IS NULL AND state = 'running') AS running, \
           (SELECT count(*) FROM deliveries \
            WHERE state IN ('pending', 'sending', 'in_doubt')) AS unsettled, \
           (SELECT count(*) FROM deliveries \
            WHERE state IN ('pending', 'sending', 'in_doubt') AND state = 'in_doubt') \
             AS in_doubt, \
           (SELECT count(*) FROM conversations) AS conversations, \
           (SELECT count(*) FROM people) AS people",
    )
    .fetch_one(connection)
    .await?;
    let count = |column: &str| -> Tried<u64> { Ok(found.try_get::<i64, _>(column)? as u64) };
    Ok(Counts {
        queued: count("queued")?,
        running: count("running")?,
        unsettled: count("unsettled")?,
        in_doubt: count("in_doubt")?,
        conversations: count("conversations")?,
        people: count("people")?,
    })
}
