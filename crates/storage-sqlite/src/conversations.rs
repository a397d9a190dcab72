//! Conversations, their transcripts and their summaries.
//!
//! Invariant: every query here names the conversation, or finds it by a turn's own row, so texts
//! of two conversations never meet (promise G10).

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use tertulia_domain::{
    AccountId, ChatId, ConversationId, Judgement, MessageId, ModelName, PersonId, PersonaName,
    Timestamp, TurnId,
};
use tertulia_storage::{
    Anchored, Conversation, Conversations, ListedChat, ShownMessage, StorageError, Summary,
};

use crate::fault::{Fault, Tried};
use crate::row;
use crate::store::SqliteStorage;

/// How many messages one write erases at most, so that nobody waits long behind it.
const PRUNED_MAX: i64 = 500;

/// The summary in force: the latest that was not taken back and lies within the context.
pub(crate) const SUMMARY: &str = "\
    SELECT s.id, s.upto, s.text, s.window_before FROM summaries s \
    JOIN conversations c ON c.id = s.conversation \
    WHERE s.conversation = ?1 AND s.undone_at IS NULL AND s.upto > c.fresh_after \
    ORDER BY s.id DESC LIMIT 1";

/// ?3 is the subject and ?2 its anchor; the subject's own prompt is always there.
pub(crate) const CONTEXT: &str = "\
    SELECT m.* FROM messages m \
    WHERE m.conversation = ?1 AND m.anchor > min(?4, ?2 - 1) AND m.anchor <= ?2 \
      AND (m.state = 'live' OR m.turn = ?3) \
      AND (m.kind IN ('prompt', 'aside') OR (m.kind = 'reply' AND m.anchor < ?2)) \
      AND (m.kind <> 'prompt' OR m.turn = ?3 OR NOT EXISTS \
            (SELECT 1 FROM turns t WHERE t.id = m.turn AND t.ended_at IS NULL)) \
    ORDER BY m.anchor DESC, m.id DESC LIMIT ?5";

pub(crate) const UNDO: &str = "\
    UPDATE messages SET state = 'undone' \
    WHERE conversation = ?1 AND anchor = ?2 AND kind IN ('prompt', 'reply') AND state = 'live'";

pub(crate) const CHATS: &str = "\
    SELECT c.chat, max(c.updated_at) AS updated, \
      coalesce((SELECT substr(m.text, 1, 200) FROM conversations o \
        JOIN messages m ON m.conversation = o.id \
        WHERE o.account = c.account AND o.chat = c.chat AND m.kind = 'prompt' \
        ORDER BY m.id LIMIT 1), '') AS title \
    FROM conversations c \
    WHERE c.owner = ?2 AND c.account = ?1 AND c.private = 1 \
      AND EXISTS (SELECT 1 FROM messages m WHERE m.conversation = c.id) \
    GROUP BY c.chat ORDER BY updated DESC, max(c.id) DESC LIMIT ?3";

pub(crate) const SHOWN: &str = "\
    SELECT m.*, t.state AS turn_state, f.judgement FROM messages m \
    LEFT JOIN turns t ON t.id = m.turn \
    LEFT JOIN feedback f ON f.turn = m.turn AND f.person = ?2 AND m.kind = 'reply' \
    WHERE m.id < ?4 AND m.conversation IN \
      (SELECT id FROM conversations \
       WHERE account = ?1 AND chat = ?3 AND private = 1 AND owner = ?2) \
    ORDER BY m.id DESC LIMIT ?5";

pub(crate) const PRUNE: &str = "\
    DELETE FROM messages WHERE id IN \
      (SELECT m.id FROM messages m LEFT JOIN turns t ON t.id = m.turn \
       WHERE m.at < ?1 AND (m.turn IS NULL OR t.ended_at IS NOT NULL) \
       ORDER BY m.at LIMIT ?2) \
    RETURNING turn";

// === impl Conversations ===

#[async_trait]
impl Conversations for SqliteStorage {
    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StorageError> {
        self.read(move |connection| Box::pin(conversation(connection, id)))
            .await
    }

    async fn context(
        &self,
        conversation: ConversationId,
        subject: TurnId,
        after: MessageId,
        limit: u32,
    ) -> Result<Vec<Anchored>, StorageError> {
        self.read(move |connection| {
            Box::pin(context(connection, conversation, subject, after, limit))
        })
        .await
    }

    async fn start_afresh(
        &self,
        conversation: ConversationId,
        after: MessageId,
    ) -> Result<(), StorageError> {
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE conversations SET fresh_after = max(fresh_after, ?2), \
                     window_after = CASE WHEN window_after <= ?2 THEN 0 ELSE window_after END \
                     WHERE id = ?1",
                )
                .bind(conversation.0)
                .bind(after.0)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    async fn set_window(
        &self,
        conversation: ConversationId,
        after: MessageId,
    ) -> Result<(), StorageError> {
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE conversations SET window_after = ?2 WHERE id = ?1")
                    .bind(conversation.0)
                    .bind(after.0)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn undo_turn(&self, turn: TurnId) -> Result<bool, StorageError> {
        self.write(move |connection| Box::pin(undo_turn(connection, turn)))
            .await
    }

    async fn add_summary(
        &self,
        conversation: ConversationId,
        upto: MessageId,
        text: &str,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let text = text.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                // A conversation that was erased while it was summarized needs no summary.
                sqlx::query(
                    "INSERT INTO summaries (conversation, upto, text, window_before, created_at) \
                     SELECT id, ?2, ?3, window_after, ?4 FROM conversations WHERE id = ?1",
                )
                .bind(conversation.0)
                .bind(upto.0)
                .bind(text)
                .bind(now.0)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    async fn undo_summary(
        &self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        self.write(move |connection| Box::pin(undo_summary(connection, conversation, now)))
            .await
    }

    async fn set_persona(
        &self,
        conversation: ConversationId,
        persona: Option<&PersonaName>,
    ) -> Result<(), StorageError> {
        let persona = persona.cloned();
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE conversations SET persona = ?2 WHERE id = ?1")
                    .bind(conversation.0)
                    .bind(persona.as_ref().map(PersonaName::as_str))
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn set_model(
        &self,
        conversation: ConversationId,
        model: Option<&ModelName>,
    ) -> Result<(), StorageError> {
        let model = model.cloned();
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE conversations SET model = ?2 WHERE id = ?1")
                    .bind(conversation.0)
                    .bind(model.as_ref().map(ModelName::as_str))
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    async fn chats_of(
        &self,
        account: &AccountId,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<ListedChat>, StorageError> {
        let (account, person) = (account.clone(), person.to_string());
        self.read(move |connection| {
            Box::pin(async move {
                sqlx::query(CHATS)
                    .bind(account.as_str())
                    .bind(person)
                    .bind(limit)
                    .fetch_all(connection)
                    .await?
                    .iter()
                    .map(|found| {
                        Ok(ListedChat {
                            chat: found.try_get::<String, _>("chat")?.into(),
                            title: found.try_get("title")?,
                            updated: Timestamp(found.try_get("updated")?),
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    async fn shown(
        &self,
        account: &AccountId,
        person: &PersonId,
        chat: &ChatId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<ShownMessage>, StorageError> {
        let (account, person, chat) = (account.clone(), person.to_string(), chat.clone());
        self.read(move |connection| {
            Box::pin(async move {
                let latest_first = sqlx::query(SHOWN)
                    .bind(account.as_str())
                    .bind(person)
                    .bind(chat.as_str())
                    .bind(before.map_or(i64::MAX, |id| id.0))
                    .bind(limit)
                    .fetch_all(connection)
                    .await?;
                latest_first.iter().rev().map(shown).collect()
            })
        })
        .await
    }

    async fn prune_messages(&self, before: Timestamp) -> Result<u64, StorageError> {
        let mut pruned = 0;
        loop {
            let some = self
                .write(move |connection| Box::pin(prune(connection, before)))
                .await?;
            pruned += some;
            if some < PRUNED_MAX as u64 {
                return Ok(pruned);
            }
        }
    }
}

async fn conversation(
    connection: &mut SqliteConnection,
    id: ConversationId,
) -> Tried<Option<Conversation>> {
    let Some(found) = sqlx::query("SELECT * FROM conversations WHERE id = ?1")
        .bind(id.0)
        .fetch_optional(&mut *connection)
        .await?
    else {
        return Ok(None);
    };
    let summary = sqlx::query(SUMMARY)
        .bind(id.0)
        .fetch_optional(connection)
        .await?
        .map(|row| -> Tried<Summary> {
            Ok(Summary {
                upto: MessageId(row.try_get("upto")?),
                text: row.try_get("text")?,
            })
        })
        .transpose()?;
    let fresh: i64 = found.try_get("fresh_after")?;
    let window: i64 = found.try_get("window_after")?;
    let summarized = summary.as_ref().map_or(0, |summary| summary.upto.0);
    Ok(Some(Conversation {
        id,
        key: row::key(&found)?,
        private: found.try_get("private")?,
        persona: found
            .try_get::<Option<String>, _>("persona")?
            .map(PersonaName::from),
        model: found
            .try_get::<Option<String>, _>("model")?
            .map(ModelName::from),
        window_after: MessageId(fresh.max(window).max(summarized)),
        summary,
    }))
}

async fn context(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    subject: TurnId,
    after: MessageId,
    limit: u32,
) -> Tried<Vec<Anchored>> {
    let anchor: Option<i64> =
        sqlx::query_scalar("SELECT anchor FROM turns WHERE id = ?1 AND conversation = ?2")
            .bind(subject.0)
            .bind(conversation.0)
            .fetch_optional(&mut *connection)
            .await?;
    let anchor = anchor.ok_or_else(|| {
        Fault::inconsistent(format!(
            "turn {subject} is not of conversation {conversation}"
        ))
    })?;
    let latest_first = sqlx::query(CONTEXT)
        .bind(conversation.0)
        .bind(anchor)
        .bind(subject.0)
        .bind(after.0)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    latest_first
        .iter()
        .rev()
        .map(|found| {
            Ok(Anchored {
                anchor: MessageId(found.try_get("anchor")?),
                message: row::message(found)?,
            })
        })
        .collect()
}

async fn undo_turn(connection: &mut SqliteConnection, turn: TurnId) -> Tried<bool> {
    let found =
        sqlx::query("SELECT conversation, anchor FROM turns WHERE id = ?1 AND asks = 'chat'")
            .bind(turn.0)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(found) = found else {
        return Ok(false);
    };
    let undone = sqlx::query(UNDO)
        .bind(found.try_get::<i64, _>("conversation")?)
        .bind(found.try_get::<i64, _>("anchor")?)
        .execute(connection)
        .await?;
    Ok(undone.rows_affected() > 0)
}

async fn undo_summary(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    now: Timestamp,
) -> Tried<bool> {
    let Some(active) = sqlx::query(SUMMARY)
        .bind(conversation.0)
        .fetch_optional(&mut *connection)
        .await?
    else {
        return Ok(false);
    };
    sqlx::query("UPDATE summaries SET undone_at = ?2 WHERE id = ?1")
        .bind(active.try_get::<i64, _>("id")?)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE conversations SET window_after = ?2 WHERE id = ?1")
        .bind(conversation.0)
        .bind(active.try_get::<i64, _>("window_before")?)
        .execute(connection)
        .await?;
    Ok(true)
}

fn shown(found: &sqlx::sqlite::SqliteRow) -> Tried<ShownMessage> {
    let judgement = match found.try_get::<Option<&str>, _>("judgement")? {
        None => None,
        Some(name) => Some(judgement(name)?),
    };
    Ok(ShownMessage {
        id: MessageId(found.try_get("id")?),
        turn: found.try_get::<Option<i64>, _>("turn")?.map(TurnId),
        kind: row::kind(found.try_get("kind")?)?,
        text: found.try_get("text")?,
        turn_state: found
            .try_get::<Option<&str>, _>("turn_state")?
            .map(row::turn_state)
            .transpose()?,
        judgement,
        at: Timestamp(found.try_get("at")?),
    })
}

fn judgement(name: &str) -> Tried<Judgement> {
    [Judgement::Good, Judgement::Bad, Judgement::Neutral]
        .into_iter()
        .find(|judgement| judgement.as_str() == name)
        .ok_or_else(|| Fault::inconsistent(format!("nobody judges {name:?}")))
}

/// Erases some messages, and what was kept of them elsewhere: commands, placed parts, summaries.
async fn prune(connection: &mut SqliteConnection, before: Timestamp) -> Tried<u64> {
    let pruned: Vec<Option<i64>> = sqlx::query_scalar(PRUNE)
        .bind(before.0)
        .bind(PRUNED_MAX)
        .fetch_all(&mut *connection)
        .await?;
    let mut turns: Vec<i64> = pruned.iter().copied().flatten().collect();
    turns.sort_unstable();
    turns.dedup();
    for turn in turns {
        sqlx::query("DELETE FROM deliveries WHERE turn = ?1 AND state IN ('sent', 'dropped')")
            .bind(turn)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "UPDATE turns SET ask = json_set(ask, '$.command.rest', '') \
             WHERE id = ?1 AND asks = 'command'",
        )
        .bind(turn)
        .execute(&mut *connection)
        .await?;
    }
    if pruned.len() < PRUNED_MAX as usize {
        sqlx::query("DELETE FROM summaries WHERE created_at < ?1")
            .bind(before.0)
            .execute(connection)
            .await?;
    }
    Ok(pruned.len() as u64)
}
