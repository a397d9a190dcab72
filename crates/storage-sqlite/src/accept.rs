//! What comes in: an update and its effects, committed as one.
//!
//! Invariant: an update's key and everything that follows from the update are in one transaction,
//! so nothing is confirmed that has no turn, and nothing repeated has two (promises G1 and G3).

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use tertulia_domain::{
    AccountId, Ask, ChatId, ConversationId, ConversationKey, PersonId, PlatformMessageId, Refusal,
    Timestamp, TurnId,
};
use tertulia_storage::{
    Accepted, Arrival, Effect, Inbox, Judged, JudgedBy, NewMessage, NewPrompt, StorageError,
};

use crate::fault::Tried;
use crate::row::{json, or_empty, sort};
use crate::store::SqliteStorage;
use crate::{moved, places};

/// How many rows one write erases at most, so that nobody waits long behind it.
const PRUNED_MAX: i64 = 500;

pub(crate) const KNOWN: &str = "INSERT INTO updates (account, key, raw, person, at) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (account, key) DO NOTHING";

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
                let (conversation, turn) = ask(connection, arrival.at, prompt).await?;
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
                let conversation = conversation(
                    connection,
                    key,
                    *private,
                    message.person.as_ref(),
                    arrival.at,
                )
                .await?;
                overhear(connection, conversation, message).await?;
                seen(connection, key, message.platform_id.as_ref(), arrival.at).await?;
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

/// A prompt joins the turn that waits for it or makes a new one; the id only of a new one.
async fn ask(
    connection: &mut SqliteConnection,
    at: Timestamp,
    prompt: &NewPrompt,
) -> Tried<(ConversationId, Option<TurnId>)> {
    let conversation = conversation(
        connection,
        &prompt.key,
        prompt.private,
        Some(&prompt.person),
        at,
    )
    .await?;
    know(connection, prompt, at).await?;
    if let Some(message) = &prompt.message {
        seen(connection, &prompt.key, message.platform_id.as_ref(), at).await?;
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
        Some(_) => next_message(connection).await?,
        None => latest_message(connection, conversation).await?,
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
        insert(
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
        insert(
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

/// The conversation with this key; made if it is new.
async fn conversation(
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

async fn overhear(
    connection: &mut SqliteConnection,
    conversation: ConversationId,
    message: &NewMessage,
) -> Tried<()> {
    insert(connection, conversation, None, None, "live", message).await
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
async fn next_message(connection: &mut SqliteConnection) -> Tried<i64> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
            .fetch_optional(connection)
            .await?;
    Ok(last.unwrap_or(0) + 1)
}

async fn latest_message(
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

async fn seen(
    connection: &mut SqliteConnection,
    key: &ConversationKey,
    message: Option<&PlatformMessageId>,
    at: Timestamp,
) -> Tried<()> {
    match message {
        Some(message) => {
            places::seen(connection, &key.place.account, &key.place.chat, message, at).await
        }
        None => Ok(()),
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
