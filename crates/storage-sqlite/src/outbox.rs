//! Deliveries: what shall stand on the platforms, and whether it does.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use tertulia_domain::{
    AccountId, ChatId, ConversationId, Delivery, DeliveryId, DeliveryState, Place,
    PlatformMessageId, Timestamp, Turn, TurnId,
};
use tertulia_storage::{NewDelivery, Outbox, PlaceState, StorageError, Whereabouts};

use crate::fault::{Fault, Tried};
use crate::row::{json, or_empty};
use crate::store::SqliteStorage;
use crate::{moved, places, row};

pub(crate) const UNSETTLED: &str = "\
    SELECT d.* FROM deliveries d \
    WHERE d.conversation = ?1 AND d.state IN ('pending', 'sending', 'in_doubt') \
      AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.id = d.turn AND t.state = 'running') \
    ORDER BY d.id";

pub(crate) const OTHERS: &str = "\
    SELECT o.message FROM deliveries d JOIN deliveries o \
      ON o.account = d.account AND o.chat = d.chat AND o.message IS NOT NULL \
    WHERE d.id = ?1 AND o.id <> d.id AND CAST(o.message AS INTEGER) > coalesce(d.begun_after, 0) \
    LIMIT 1000";

pub(crate) const OF_TURN: &str = "SELECT * FROM deliveries WHERE turn = ?1 ORDER BY part";

// === impl Outbox ===

#[async_trait]
impl Outbox for SqliteStorage {
    async fn open_delivery(
        &self,
        turn: TurnId,
        delivery: &NewDelivery,
        now: Timestamp,
    ) -> Result<Delivery, StorageError> {
        let delivery = delivery.clone();
        self.write(move |connection| {
            Box::pin(async move { open(connection, turn, &delivery, now).await })
        })
        .await
    }

    async fn unsettled(&self, conversation: ConversationId) -> Result<Vec<Delivery>, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                sqlx::query(UNSETTLED)
                    .bind(conversation.0)
                    .fetch_all(connection)
                    .await?
                    .iter()
                    .map(row::delivery)
                    .collect()
            })
        })
        .await
    }

    async fn deliveries(&self, turn: TurnId) -> Result<Vec<Delivery>, StorageError> {
        self.read(move |connection| {
            Box::pin(async move {
                sqlx::query(OF_TURN)
                    .bind(turn.0)
                    .fetch_all(connection)
                    .await?
                    .iter()
                    .map(row::delivery)
                    .collect()
            })
        })
        .await
    }

    async fn mark(
        &self,
        delivery: DeliveryId,
        state: DeliveryState,
        message: Option<&PlatformMessageId>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let message = message.cloned();
        self.write(move |connection| {
            Box::pin(async move { mark(connection, delivery, state, message, now).await })
        })
        .await
    }

    async fn unplace(&self, delivery: DeliveryId, now: Timestamp) -> Result<(), StorageError> {
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE deliveries SET message = NULL, state = 'pending', updated_at = ?2 \
                     WHERE id = ?1",
                )
                .bind(delivery.0)
                .bind(now.0)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    async fn whereabouts(&self, delivery: DeliveryId) -> Result<Whereabouts, StorageError> {
        self.read(move |connection| {
            Box::pin(async move { whereabouts(connection, delivery).await })
        })
        .await
    }

    async fn place_state(&self, place: &Place) -> Result<PlaceState, StorageError> {
        let place = place.clone();
        self.read(move |connection| {
            Box::pin(async move { places::state(connection, &place).await })
        })
        .await
    }

    async fn set_reach(
        &self,
        account: &AccountId,
        chat: &ChatId,
        unreachable: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let (account, chat) = (account.clone(), chat.clone());
        let unreachable = unreachable.map(str::to_owned);
        self.write(move |connection| {
            Box::pin(async move {
                places::set_reach(connection, &account, &chat, unreachable.as_deref(), now).await
            })
        })
        .await
    }

    async fn close_thread(&self, place: &Place, now: Timestamp) -> Result<(), StorageError> {
        let place = place.clone();
        self.write(move |connection| {
            Box::pin(async move { places::close_thread(connection, &place, now).await })
        })
        .await
    }

    async fn move_chat(
        &self,
        account: &AccountId,
        from: &ChatId,
        to: &ChatId,
    ) -> Result<(), StorageError> {
        let (account, from, to) = (account.clone(), from.clone(), to.clone());
        self.write(move |connection| {
            Box::pin(async move {
                moved::move_chat(connection, &account, &from, &to).await?;
                Ok(())
            })
        })
        .await
    }
}

async fn open(
    connection: &mut SqliteConnection,
    turn: TurnId,
    new: &NewDelivery,
    now: Timestamp,
) -> Tried<Delivery> {
    let earlier = sqlx::query("SELECT * FROM deliveries WHERE turn = ?1 AND part = ?2")
        .bind(turn.0)
        .bind(new.part)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(earlier) = earlier {
        return row::delivery(&earlier);
    }
    let running = sqlx::query("SELECT * FROM turns WHERE id = ?1 AND ended_at IS NULL")
        .bind(turn.0)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| Fault::inconsistent(format!("turn {turn} is not being answered")))?;
    insert(
        connection,
        &row::turn(&running)?,
        new,
        DeliveryState::Sending,
        now,
    )
    .await
}

/// Adds a delivery that waits; the one that was opened for this part is given the new content.
///
/// If nobody knows whether the opened one ever arrived, it is in doubt and not sent once more.
pub(crate) async fn put(
    connection: &mut SqliteConnection,
    turn: &Turn,
    new: &NewDelivery,
    now: Timestamp,
) -> Tried<Delivery> {
    insert(connection, turn, new, DeliveryState::Pending, now).await
}

async fn insert(
    connection: &mut SqliteConnection,
    turn: &Turn,
    new: &NewDelivery,
    state: DeliveryState,
    now: Timestamp,
) -> Tried<Delivery> {
    let put = sqlx::query(
        "INSERT INTO deliveries (conversation, turn, part, account, chat, thread, reply_to, \
         content, buttons, state, created_at, updated_at, begun_after) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, \
           (SELECT max(last_message) FROM places \
            WHERE account = ?4 AND thread = '' AND (chat = ?5 OR (chat = '' AND ?12)))) \
         ON CONFLICT (turn, part) DO UPDATE SET account = excluded.account, \
           chat = excluded.chat, thread = excluded.thread, reply_to = excluded.reply_to, \
           content = excluded.content, buttons = excluded.buttons, \
           state = CASE WHEN message IS NULL AND state IN ('sending', 'in_doubt') \
             THEN 'in_doubt' ELSE excluded.state END, \
           updated_at = excluded.updated_at \
         RETURNING *",
    )
    .bind(turn.conversation.0)
    .bind(turn.id.0)
    .bind(new.part)
    .bind(new.place.account.as_str())
    .bind(new.place.chat.as_str())
    .bind(or_empty(new.place.thread.as_ref()))
    .bind(new.reply_to.as_ref().map(PlatformMessageId::as_str))
    .bind(json(&new.content)?)
    .bind(json(&new.buttons)?)
    .bind(state.as_str())
    .bind(now.0)
    .bind(turn.private)
    .fetch_one(connection)
    .await?;
    row::delivery(&put)
}

async fn whereabouts(
    connection: &mut SqliteConnection,
    delivery: DeliveryId,
) -> Tried<Whereabouts> {
    let begun_after: Option<Option<i64>> =
        sqlx::query_scalar("SELECT begun_after FROM deliveries WHERE id = ?1")
            .bind(delivery.0)
            .fetch_optional(&mut *connection)
            .await?;
    let others: Vec<String> = sqlx::query_scalar(OTHERS)
        .bind(delivery.0)
        .fetch_all(connection)
        .await?;
    Ok(Whereabouts {
        begun_after: begun_after
            .flatten()
            .map(|number| number.to_string().into()),
        others: others.into_iter().map(PlatformMessageId::from).collect(),
    })
}

/// A delivery that was erased meanwhile is not missed.
async fn mark(
    connection: &mut SqliteConnection,
    delivery: DeliveryId,
    state: DeliveryState,
    message: Option<PlatformMessageId>,
    now: Timestamp,
) -> Tried<()> {
    let marked = sqlx::query(
        "UPDATE deliveries SET state = ?2, message = coalesce(?3, message), updated_at = ?4, \
           begun_after = CASE ?2 WHEN 'sending' THEN \
             (SELECT max(p.last_message) FROM places p \
              WHERE p.account = deliveries.account AND p.thread = '' \
                AND (p.chat = deliveries.chat OR (p.chat = '' AND \
                  (SELECT private FROM turns t WHERE t.id = deliveries.turn)))) \
             ELSE begun_after END \
         WHERE id = ?1 \
         RETURNING *, (SELECT private FROM turns t WHERE t.id = deliveries.turn) AS private",
    )
    .bind(delivery.0)
    .bind(state.as_str())
    .bind(message.as_ref().map(PlatformMessageId::as_str))
    .bind(now.0)
    .fetch_optional(&mut *connection)
    .await?;
    if let (Some(marked), Some(message)) = (marked, message) {
        let place = row::place(&marked)?;
        let private = marked.try_get("private")?;
        places::seen(
            connection,
            &place.account,
            &place.chat,
            private,
            &message,
            now,
        )
        .await?;
    }
    Ok(())
}
