//! Delivery to a webhook: one request in flight for each queue, retried on a ladder.
//!
//! Invariant: an update is confirmed by a 2xx and by nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Core;
use super::ledger::What;
use super::params::Call;
use super::refusal::Refusal;
use super::state::State;

/// A webhook that is set; dropping it ends the delivery.
pub(crate) struct Hook {
    url: String,
    secret: Option<String>,
    connections: usize,
    last_error: Option<String>,
    /// Held so that the delivery ends with the webhook.
    _task: AbortOnDropHandle<()>,
}

/// The waits before the first, second, … retry in seconds; the last one repeats.
const LADDER: [f64; 7] = [0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0];

impl Core {
    pub(crate) fn set_webhook(self: &Arc<Self>, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let url = call.text("url").unwrap_or_default().to_owned();
        let secret = call.text("secret_token").map(str::to_owned);
        let connections = call.number("max_connections")?.unwrap_or(40).clamp(1, 100) as usize;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if let Some(secret) = &secret
            && (secret.is_empty() || secret.len() > 256 || !secret.chars().all(allowed))
        {
            self.with(|s| s.violation("setWebhook: bad secret token".into()));
            return Err(Refusal::bad("secret token contains unallowed characters"));
        }
        self.with(|state| {
            state.set_allowed(bot, call)?;
            let bot_state = state.bot(bot);
            if call.flag("drop_pending_updates") {
                bot_state.queue.clear();
            }
            bot_state.hook = None;
            if !url.is_empty() {
                let task = tokio::spawn(deliver(Arc::clone(self), bot));
                bot_state.hook = Some(Hook {
                    url,
                    secret,
                    connections,
                    last_error: None,
                    _task: AbortOnDropHandle::new(task),
                });
                for pending in &mut bot_state.queue {
                    pending.in_flight = false;
                    pending.not_before = Instant::now();
                }
            }
            Ok(json!(true))
        })
    }
}

impl State {
    pub(crate) fn webhook_info(&mut self, bot: i64) -> Value {
        let bot = self.bot(bot);
        let mut info = json!({
            "url": bot.hook.as_ref().map_or("", |hook| hook.url.as_str()),
            "has_custom_certificate": false,
            "pending_update_count": bot.queue.len(),
        });
        if let Some(hook) = &bot.hook {
            info["max_connections"] = json!(hook.connections);
            if let Some(error) = &hook.last_error {
                info["last_error_message"] = json!(error);
                info["last_error_date"] = json!(super::state::now());
            }
        }
        if let Some(allowed) = &bot.allowed {
            info["allowed_updates"] = json!(allowed);
        }
        info
    }

    /// The first update of each idle queue that may go out now, or when the next one may.
    fn due(&mut self, bot: i64) -> (Vec<(i64, Value)>, Option<Instant>) {
        let bot = self.bot(bot);
        let room = bot.hook.as_ref().map_or(0, |hook| hook.connections);
        let mut busy: BTreeSet<i64> = bot
            .queue
            .iter()
            .filter(|p| p.in_flight)
            .map(|p| p.queue)
            .collect();
        let mut flying = busy.len();
        let (mut ready, mut next) = (Vec::new(), None::<Instant>);
        let now = Instant::now();
        for pending in &mut bot.queue {
            // Whatever becomes of its head, a queue waits behind it.
            if flying >= room || !busy.insert(pending.queue) {
                continue;
            }
            if pending.not_before > now {
                next = Some(next.map_or(pending.not_before, |at| at.min(pending.not_before)));
                continue;
            }
            pending.in_flight = true;
            flying += 1;
            ready.push((pending.id, pending.json.clone()));
        }
        (ready, next)
    }

    fn failed(&mut self, bot: i64, update: i64, why: String, asked: Option<u64>) {
        let scale = self.options.webhook_retry_scale;
        let bot = self.bot(bot);
        if let Some(hook) = &mut bot.hook {
            hook.last_error = Some(why);
        }
        if let Some(pending) = bot.queue.iter_mut().find(|p| p.id == update) {
            let step = LADDER[(pending.failures as usize).min(LADDER.len() - 1)];
            pending.failures += 1;
            pending.in_flight = false;
            // What the webhook itself asks for is honoured as it stands.
            let wait = match asked {
                Some(seconds) => Duration::from_secs(seconds.min(3600)),
                None => Duration::from_secs_f64(step * scale),
            };
            pending.not_before = Instant::now() + wait;
        }
    }
}

async fn deliver(server: Arc<Core>, bot: i64) {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
        .no_proxy()
        .build()
        .expect("a plain client can be built");
    let mut pulse = server.pulse();
    let mut requests = tokio::task::JoinSet::new();
    loop {
        let (due, next) = server.quietly(|state| state.due(bot));
        for (id, update) in due {
            requests.spawn(push(Arc::clone(&server), client.clone(), bot, id, update));
        }
        let wake = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        let _ = tokio::time::timeout_at(wake, pulse.changed()).await;
        while requests.try_join_next().is_some() {}
    }
}

async fn push(server: Arc<Core>, client: reqwest::Client, bot: i64, id: i64, update: Value) {
    let hook = server.peek(|state| {
        let hook = state.bots[&bot].hook.as_ref()?;
        Some((hook.url.clone(), hook.secret.clone()))
    });
    let Some((url, secret)) = hook else { return };
    let mut request = client.post(url).json(&update);
    if let Some(secret) = secret {
        request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
    }
    match request.send().await {
        Ok(response) => {
            let status = response.status();
            let asked = response.headers().get("retry-after");
            let asked = asked.and_then(|value| value.to_str().ok()?.parse().ok());
            let body = response.bytes().await.unwrap_or_default();
            server.with(|state| {
                state.note(What::Webhook {
                    update_id: id,
                    status: Some(status.as_u16()),
                });
                if status.is_success() {
                    state.confirm(bot, id);
                } else {
                    let why = format!("Wrong response from the webhook: {status}");
                    state.failed(bot, id, why, asked);
                }
            });
            // The answer may carry one call, whose result nobody sees.
            let inline = serde_json::from_slice::<Value>(&body)
                .ok()
                .filter(|_| status.is_success());
            if let Some(Value::Object(mut params)) = inline
                && let Some(Value::String(method)) = params.remove("method")
            {
                let call = Call {
                    method: method.to_lowercase(),
                    params,
                    ..Call::default()
                };
                let _ = Box::pin(server.handle(bot, call)).await;
            }
        }
        Err(error) => server.with(|state| {
            state.note(What::Webhook {
                update_id: id,
                status: None,
            });
            let why = if error.is_connect() {
                "Connection refused"
            } else {
                "Connection failed"
            };
            state.failed(bot, id, why.to_owned(), None);
        }),
    }
}
