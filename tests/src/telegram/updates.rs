//! The queue of updates and getUpdates.
//!
//! Invariant: an update leaves the queue only by being confirmed: an offset beyond it, or a 2xx of
//! the webhook.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Core;
use super::ledger::What;
use super::params::Call;
use super::refusal::Refusal;
use super::state::{Bot, State};

/// An update that waits to be confirmed.
pub(crate) struct Pending {
    pub(crate) id: i64,
    /// Updates of one class of one chat are delivered to a webhook one at a time.
    pub(crate) queue: i64,
    pub(crate) json: Value,
    pub(crate) failures: u32,
    pub(crate) in_flight: bool,
    pub(crate) not_before: Instant,
}

const OPT_IN: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

// === impl State ===

impl State {
    /// Queues an update for a bot unless the bot did not ask for its kind.
    pub(crate) fn queue(&mut self, bot_id: i64, queue: i64, kind: &str, payload: Value) {
        let bot = self.bot(bot_id);
        if !bot.wants(kind) {
            return;
        }
        let id = bot.next_update;
        bot.next_update += 1;
        let mut update = json!({"update_id": id});
        update[kind] = payload;
        bot.queue.push_back(Pending {
            id,
            queue,
            json: update.clone(),
            failures: 0,
            in_flight: false,
            not_before: Instant::now(),
        });
        self.note(What::Queued {
            bot: bot_id,
            update,
        });
    }

    pub(crate) fn confirm(&mut self, bot_id: i64, id: i64) {
        let bot = self.bot(bot_id);
        bot.queue.retain(|pending| pending.id != id);
        if bot.confirmed.insert(id) {
            self.note(What::Confirmed {
                bot: bot_id,
                update_id: id,
            });
        }
    }

    pub(crate) fn set_allowed(&mut self, bot: i64, call: &Call) -> Result<(), Refusal> {
        let Some(allowed) = call.value("allowed_updates")? else {
            return Ok(());
        };
        let names: Vec<String> = serde_json::from_value(allowed)
            .map_err(|_| Refusal::bad("can't parse allowed_updates JSON object"))?;
        self.bot(bot).allowed = (!names.is_empty()).then_some(names);
        Ok(())
    }

    fn forget_before(&mut self, bot_id: i64, offset: i64) {
        let bot = self.bot(bot_id);
        let Some(head) = bot.queue.front().map(|pending| pending.id) else {
            return;
        };
        let end = bot.queue.back().map_or(head, |pending| pending.id) + 1;
        let last = if offset < 0 {
            // A negative offset counts from the end and forgets all before.
            (end + offset).max(head)
        } else if offset > end {
            // An offset outside the queue starts again from its head.
            head
        } else {
            offset
        };
        let ids: Vec<i64> = bot
            .queue
            .iter()
            .map(|p| p.id)
            .filter(|id| *id < last)
            .collect();
        for id in ids {
            self.confirm(bot_id, id);
        }
    }
}

// === impl Bot ===

impl Bot {
    fn wants(&self, kind: &str) -> bool {
        match &self.allowed {
            Some(names) => names.iter().any(|name| name == kind),
            None => !OPT_IN.contains(&kind),
        }
    }
}

// === impl Core ===

impl Core {
    pub(crate) async fn get_updates(&self, bot_id: i64, call: &Call) -> Result<Value, Refusal> {
        let offset = call.number("offset")?.unwrap_or(0);
        let limit = call.number("limit")?.unwrap_or(100);
        if !(1..=100).contains(&limit) {
            self.with(|s| s.violation(format!("getUpdates with limit {limit}")));
        }
        let limit = limit.clamp(1, 100) as usize;
        let timeout = call.number("timeout")?.unwrap_or(0).clamp(0, 50) as u64;
        let deadline = Instant::now() + Duration::from_secs(timeout);
        let mut pulse = self.pulse();
        let mine = self.with(|state| {
            if state.bot(bot_id).hook.is_some() {
                return Err(Refusal::new(
                    409,
                    "Conflict: can't use getUpdates method while webhook is active; \
                     use deleteWebhook to delete the webhook first",
                ));
            }
            state.set_allowed(bot_id, call)?;
            state.forget_before(bot_id, offset);
            let bot = state.bot(bot_id);
            bot.poll += 1;
            Ok(bot.poll)
        })?;
        loop {
            let outcome = self.peek(|state| {
                let bot = &state.bots[&bot_id];
                if bot.poll != mine {
                    return Some(Err(Refusal::new(
                        409,
                        "Conflict: terminated by other getUpdates request; \
                         make sure that only one bot instance is running",
                    )));
                }
                if bot.hook.is_some() {
                    return Some(Err(Refusal::new(
                        409,
                        "Conflict: terminated by setWebhook request",
                    )));
                }
                let batch: Vec<Value> = bot
                    .queue
                    .iter()
                    .take(limit)
                    .map(|p| p.json.clone())
                    .collect();
                (!batch.is_empty()).then(|| Ok(json!(batch)))
            });
            if let Some(outcome) = outcome {
                return outcome;
            }
            if tokio::time::timeout_at(deadline, pulse.changed())
                .await
                .is_err()
            {
                return Ok(json!([]));
            }
        }
    }
}
