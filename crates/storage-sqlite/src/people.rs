//! People: what is stored about them, and what they have spent.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tertulia_domain::{ConversationId, ModelName, Money, PersonId, Timestamp, TurnId};
use tertulia_storage::{People, Spent, StorageError};

use crate::fault::Tried;
use crate::store::SqliteStorage;
use crate::{erase, export};

pub(crate) const SPENT_BY: &str = "\
    SELECT \
      (SELECT count(*) FROM turns WHERE person = ?1 AND created_at >= ?2 AND id < ?3 \
         AND asks IN ('chat', 'retry') AND state <> 'refused') AS messages, \
      coalesce(sum(prompt_tokens + reply_tokens), 0) AS tokens, coalesce(sum(cost), 0) AS money \
    FROM usage WHERE person = ?1 AND at >= ?2 AND turn < ?3";

pub(crate) const SPENT_IN: &str = "\
    SELECT \
      (SELECT count(*) FROM conversations c JOIN turns t \
           ON t.account = c.account AND t.chat = c.chat \
         WHERE c.id = ?1 AND t.created_at >= ?2 AND t.id < ?3 \
           AND t.asks IN ('chat', 'retry') AND t.state <> 'refused') AS messages, \
      coalesce(sum(u.prompt_tokens + u.reply_tokens), 0) AS tokens, \
      coalesce(sum(u.cost), 0) AS money \
    FROM usage u WHERE u.at >= ?2 AND u.turn < ?3 AND u.conversation IN \
      (SELECT o.id FROM conversations c JOIN conversations o \
         ON o.account = c.account AND o.chat = c.chat WHERE c.id = ?1)";

pub(crate) const SPENT_BY_MODEL: &str = "\
    SELECT model, count(DISTINCT turn) AS messages, \
      sum(prompt_tokens + reply_tokens) AS tokens, sum(cost) AS money \
    FROM usage WHERE person = ?1 AND at >= ?2 GROUP BY model ORDER BY tokens DESC, model";

// === impl People ===

#[async_trait]
impl People for SqliteStorage {
    async fn export(&self, person: &PersonId) -> Result<serde_json::Value, StorageError> {
        let person = person.clone();
        self.read(move |connection| {
            Box::pin(async move { export::export(connection, &person).await })
        })
        .await
    }

    async fn forget(&self, person: &PersonId, keep: Option<TurnId>) -> Result<u64, StorageError> {
        let person = person.clone();
        let erased = self
            .write(move |connection| {
                Box::pin(async move { erase::forget(connection, &person, keep).await })
            })
            .await?;
        self.empty_log().await;
        Ok(erased)
    }

    async fn spent_by(
        &self,
        person: &PersonId,
        since: Timestamp,
        before: TurnId,
    ) -> Result<Spent, StorageError> {
        let person = person.to_string();
        self.read(move |connection| {
            Box::pin(async move {
                let found = sqlx::query(SPENT_BY)
                    .bind(person)
                    .bind(since.0)
                    .bind(before.0)
                    .fetch_one(connection)
                    .await?;
                spent(&found)
            })
        })
        .await
    }

    async fn spent_in(
        &self,
        conversation: ConversationId,
        since: Timestamp,
        before: TurnId,
    ) -> Result<Spent, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                let found = sqlx::query(SPENT_IN)
                    .bind(conversation.0)
                    .bind(since.0)
                    .bind(before.0)
                    .fetch_one(connection)
                    .await?;
                spent(&found)
            })
        })
        .await
    }

    async fn spent_by_model(
        &self,
        person: &PersonId,
        since: Timestamp,
    ) -> Result<Vec<(ModelName, Spent)>, StorageError> {
        let person = person.to_string();
        self.read(move |connection| {
            Box::pin(async move {
                sqlx::query(SPENT_BY_MODEL)
                    .bind(person)
                    .bind(since.0)
                    .fetch_all(connection)
                    .await?
                    .iter()
                    .map(|found| Ok((found.try_get::<String, _>("model")?.into(), spent(found)?)))
                    .collect()
            })
        })
        .await
    }
}

fn spent(found: &SqliteRow) -> Tried<Spent> {
    let count = |column: &str| -> Tried<u64> { Ok(found.try_get::<i64, _>(column)? as u64) };
    Ok(Spent {
        messages: count("messages")?,
        tokens: count("tokens")?,
        money: Money(found.try_get("money")?),
    })
}
