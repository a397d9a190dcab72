//! What comes in: an update and its effects, committed as one.
//!
//! Invariant: an update's key and everything that follows from the update are in one transaction,
//! so nothing is confirmed that has no turn, and nothing repeated has two (promises G1 and G3).

mod prompt;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tertulia_domain::{
    AccountId, ChatId, ConversationId, ConversationKey, PersonId, PlatformMessageId, Timestamp,
    TurnId,
};
use tertulia_storage::{Accepted, Arrival, Effect, Inbox, Judged, JudgedBy, StorageError};

use crate::fault::Tried;
use crate::row::or_empty;
use crate::store::SqliteStorage;
use crate::{moved, places, transcript};

#[cfg(test)]
pub(crate) use prompt::{JOINABLE, OPEN};

/// How many rows one write erases at most, so that nobody waits long behind it.
const PRUNED_MAX: i64 = 500;

pub(crate) const KNOWN: &str = "INSERT INTO updates (account, key, raw, person, at) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (account, key) DO NOTHING";

pub(crate) const EDIT: &str = "\
    UPDATE messages SET text = ?4 \
    WHERE platform_id = ?3 AND kind IN ('prompt', 'aside') AND conversation IN \
      (SELECT id FROM conversations WHERE account = ?1 AND chat = ?2)";

pub(crate) const STOP: &str = "\
    UPDATE turns SET stopped = 1 \
    WHERE conversation = ?1 AND ended_at IS NULL AND id < ?2 RETURNING id";

pub(crate) const JUDGED_BY_MESSAGE: &str = "\
    SELECT turn FROM deliveries WHERE account = ?1 AND chat = ?2 AND message = ?3 \
    ORDER BY id DESC LIMIT 1";

pub(crate) const JUDGED_TURN: &str = "\
    SELECT 1 FROM turns t WHERE t.id = ?1 AND t.account = ?2 AND t.chat = ?3 \
      AND EXISTS (SELECT 1 FROM messages m WHERE m.turn = t.id AND m.kind = 'reply')";

pub(crate) const PRUNE_UPDATES: &str = "\
    DELETE FROM updates WHERE id IN \
      (SELECT id FROM updates WHERE at < ?1 ORDER BY at LIMIT ?2)";

// === impl Inbox ===

#[async_trait]
impl Inbox for SqliteStorage {
    async fn accept(&self, arrivals: &[Arrival]) -> Result<Accepted, StorageError> {
        if arrivals.is_empty() {
            return Ok(Accepted::default());
        }
        let arrivals = arrivals.to_vec();
        self.write(move |connection| {
            Box::pin(async move {
                let mut accepted = Accepted::default();
                for arrival in &arrivals {
                    take_in(connection, arrival, &mut accepted).await?;
                }
                Ok(accepted)
            })
        })
        .await
    }

    async fn prune_updates(&self, before: Timestamp) -> Result<u64, StorageError> {
        let mut pruned = 0;
        loop {
            let some = self
                .write(move |connection| {
                    Box::pin(async move {
                        let done = sqlx::query(PRUNE_UPDATES)
                            .bind(before.0)
                            .bind(PRUNED_MAX)
                            .execute(connection)
                            .await?;
                        Ok(done.rows_affected())
                    })
                })
                .await?;
            pruned += some;
            if some < PRUNED_MAX as u64 {
                return Ok(pruned);
            }
        }
    }
}

async fn take_in(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    accepted: &mut Accepted,
) -> Tried<()> {
    let new = sqlx::query(KNOWN)
        .bind(arrival.account.as_str())
        .bind(&arrival.key)
        .bind(&arrival.raw)
        .bind(arrival.person.as_ref().map(PersonId::to_string))
        .bind(arrival.at.0)
        .execute(&mut *connection)
        .await?;
    if new.rows_affected() == 0 {
        accepted.known += 1;
        return Ok(());
    }
    // Turns from here on came with this update: a stop in it does not mean them.
    let mut first_turn = i64::MAX;
    for effect in &arrival.effects {
        match effect {
            Effect::Prompt(prompt) => {
                let (conversation, turn) = prompt::ask(connection, arrival.at, prompt).await?;
                if let Some(turn) = turn {
                    first_turn = first_turn.min(turn.0);
                }
                wake(accepted, conversation);
            }
            Effect::Aside {
                key,
                private,
                message,
            } => {
                let conversation = transcript::conversation(
                    connection,
                    key,
                    *private,
                    message.person.as_ref(),
                    arrival.at,
                )
                .await?;
                transcript::insert(connection, conversation, None, None, "live", message).await?;
                transcript::seen(
                    connection,
                    key,
                    *private,
                    message.platform_id.as_ref(),
                    arrival.at,
                )
                .await?;
            }
            Effect::Edited {
                account,
                chat,
                message,
                text,
            } => edit(connection, account, chat, message, text).await?,
            Effect::Stop { key } => stop(connection, key, first_turn, accepted).await?,
            Effect::StopTurn {
                account,
                chat,
                turn,
            } => stop_turn(connection, account, chat, *turn, accepted).await?,
            Effect::Judged(judged) => judge(connection, judged, arrival.at).await?,
            Effect::Moved { account, from, to } => {
                for conversation in moved::move_chat(connection, account, from, to).await? {
                    wake(accepted, conversation);
                }
            }
            Effect::Reach {
                account,
                chat,
                unreachable,
            } => {
                places::set_reach(
                    connection,
                    account,
                    chat,
                    unreachable.as_deref(),
                    arrival.at,
                )
                .await?;
                if unreachable.is_none() {
                    for conversation in places::waiting(connection, account, chat).await? {
                        wake(accepted, conversation);
                    }
                }
            }
        }
    }
    Ok(())
}

fn wake(accepted: &mut Accepted, conversation: ConversationId) {
    if !accepted.woken.contains(&conversation) {
        accepted.woken.push(conversation);
    }
}

fn stopped(accepted: &mut Accepted, turn: TurnId) {
    if !accepted.stopped.contains(&turn) {
        accepted.stopped.push(turn);
    }
}

async fn edit(
    connection: &mut SqliteConnection,
    account: &AccountId,
    chat: &ChatId,
    message: &PlatformMessageId,
    text: &str,
) -> Tried<()> {
    sqlx::query(EDIT)
        .bind(account.as_str())
        .bind(chat.as_str())
        .bind(message.as_str())
        .bind(text)
        .execute(connection)
        .await?;
    Ok(())
}

async fn stop(
    connection: &mut SqliteConnection,
    key: &ConversationKey,
    first_turn: i64,
    accepted: &mut Accepted,
) -> Tried<()> {
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT id FROM conversations \
         WHERE account = ?1 AND chat = ?2 AND thread = ?3 AND person = ?4",
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
    .fetch_optional(&mut *connection)
    .await?;
    let Some(conversation) = known else {
        return Ok(());
    };
    let turns: Vec<i64> = sqlx::query_scalar(STOP)
        .bind(conversation)
        .bind(first_turn)
        .fetch_all(connection)
        .await?;
    if !turns.is_empty() {
        wake(accepted, ConversationId(conversation));
    }
    for turn in turns {
        stopped(accepted, TurnId(turn));
    }
    Ok(())
}

async fn stop_turn(
    connection: &mut SqliteConnection,
    account: &AccountId,
    chat: &ChatId,
    turn: TurnId,
    accepted: &mut Accepted,
) -> Tried<()> {
    let conversation: Option<i64> = sqlx::query_scalar(
        "UPDATE turns SET stopped = 1 \
         WHERE id = ?1 AND account = ?2 AND chat = ?3 AND ended_at IS NULL \
         RETURNING conversation",
    )
    .bind(turn.0)
    .bind(account.as_str())
    .bind(chat.as_str())
    .fetch_optional(connection)
    .await?;
    if let Some(conversation) = conversation {
        wake(accepted, ConversationId(conversation));
        stopped(accepted, turn);
    }
    Ok(())
}

async fn judge(connection: &mut SqliteConnection, judged: &Judged, at: Timestamp) -> Tried<()> {
    let turn: Option<i64> = match &judged.by {
        JudgedBy::Turn(turn) => Some(turn.0),
        JudgedBy::Message(message) => {
            sqlx::query_scalar(JUDGED_BY_MESSAGE)
                .bind(judged.account.as_str())
                .bind(judged.chat.as_str())
                .bind(message.as_str())
                .fetch_optional(&mut *connection)
                .await?
        }
    };
    let Some(turn) = turn else { return Ok(()) };
    let ours: Option<i64> = sqlx::query_scalar(JUDGED_TURN)
        .bind(turn)
        .bind(judged.account.as_str())
        .bind(judged.chat.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if ours.is_none() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO feedback (turn, person, judgement, source, at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (turn, person) DO UPDATE SET judgement = excluded.judgement, \
           source = excluded.source, at = excluded.at",
    )
    .bind(turn)
    .bind(judged.person.to_string())
    .bind(judged.judgement.as_str())
    .bind(&judged.source)
    .bind(at.0)
    .execute(connection)
    .await?;
    Ok(())
}
