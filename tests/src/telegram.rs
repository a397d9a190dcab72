//! A strict emulator of the Telegram Bot API over real HTTP.
//!
//! Tests act as people ([`TelegramServer::say`], [`TelegramServer::press`], …), the product talks
//! to [`TelegramServer::api_url`], and the server judges: it knows the limits, the error strings
//! and the order of things, and it keeps a ledger. Its state outlives a killed product.
//!
//! Limits of the emulation: a person talks privately with the first bot only, a basic group holds
//! the first bot only, and markup parsers are not emulated (`parse_mode` is a violation).
//!
//! Invariant: a violation that no test read makes the drop of the server panic.

mod entities;
mod faults;
mod flood;
mod ledger;
mod messages;
mod methods;
mod params;
mod people;
mod refusal;
mod router;
mod state;
mod updates;
mod webhook;

pub use faults::Fault;
pub use flood::FloodLimits;
pub use ledger::{Button, Draft, Event, Shown, View, What};
pub use people::Post;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use state::State;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct TelegramOptions {
    /// The token of the first bot.
    pub token: String,
    /// The username of the first bot.
    pub username: String,
    /// Whether the server knows sendMessageDraft.
    pub drafts: bool,
    /// Flood control; none is off.
    pub flood: Option<FloodLimits>,
    /// Whether sent links may show previews.
    pub link_previews: bool,
    /// What the seconds of the webhook's retry ladder are multiplied with.
    pub webhook_retry_scale: f64,
}

/// The server; its methods are what tests do and see.
pub struct TelegramServer {
    core: Arc<Core>,
    url: String,
    _task: AbortOnDropHandle<()>,
}

/// The part that requests in flight hold on to.
pub(crate) struct Core {
    state: Mutex<State>,
    pulse: watch::Sender<u64>,
}

// === impl TelegramOptions ===

impl Default for TelegramOptions {
    fn default() -> Self {
        Self {
            token: "100200300:AAtertulia_test_token_0123456789abc".into(),
            username: "tertulia_bot".into(),
            drafts: true,
            flood: None,
            link_previews: false,
            webhook_retry_scale: 0.01,
        }
    }
}

// === impl Core ===

impl Core {
    /// Changes the state and wakes all who wait.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = self.quietly(change);
        self.pulse.send_modify(|beat| *beat += 1);
        result
    }

    /// Changes the state in a way that nobody waits for.
    pub(crate) fn quietly<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        // A test that panicked under the lock has failed already; the rest may still be told.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn peek<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }
}

// === impl TelegramServer ===

impl TelegramServer {
    /// Starts a server with one bot on a free port.
    pub async fn start(options: TelegramOptions) -> Arc<Self> {
        let (token, username) = (options.token.clone(), options.username.clone());
        let core = Arc::new(Core {
            state: Mutex::new(State::new(options)),
            pulse: watch::channel(0).0,
        });
        let (url, task) = crate::net::serve(router::router(Arc::clone(&core))).await;
        let server = Self {
            core,
            url,
            _task: task,
        };
        server.bot(&token, &username);
        Arc::new(server)
    }

    /// The base address for `api_url`.
    pub fn api_url(&self) -> &str {
        &self.url
    }

    /// The token of the first bot.
    pub fn token(&self) -> String {
        self.core.peek(|state| state.options.token.clone())
    }

    /// Injects a fault into the next call of a method; `*` is any method.
    pub fn fail_next(&self, method: &str, fault: Fault) {
        self.core.with(|state| state.faults.ask(method, fault));
    }

    /// Injects faults at random into the calls of some methods; a rate of zero ends it.
    pub fn chaos(&self, seed: u64, rate: f64, faults: &[Fault], methods: &[&str]) {
        self.core
            .with(|state| state.faults.chaos(seed, rate, faults, methods));
    }

    /// Changes flood control; none is off.
    pub fn set_flood(&self, limits: Option<FloodLimits>) {
        self.core.with(|state| state.flood.set(limits));
    }

    /// Looks at the state under its lock.
    pub fn view<R>(&self, look: impl FnOnce(&View<'_>) -> R) -> R {
        self.core.peek(|state| look(&View(state)))
    }

    /// The messages of a chat as a person sees them now, oldest first.
    pub fn shown(&self, chat: i64) -> Vec<Shown> {
        self.view(|view| view.shown(chat))
    }

    /// The bots' messages of a chat as a person sees them now, oldest first.
    pub fn replies(&self, chat: i64) -> Vec<Shown> {
        self.view(|view| view.replies(chat))
    }

    /// Everything that happened, in order.
    pub fn ledger(&self) -> Vec<Event> {
        self.view(|view| view.ledger().to_vec())
    }

    /// How many updates no bot has confirmed yet.
    pub fn unconfirmed(&self) -> usize {
        self.core.peek(|state| View(state).unconfirmed())
    }

    /// Whether an update was delivered and confirmed.
    pub fn confirmed(&self, update_id: i64) -> bool {
        self.view(|view| view.confirmed(update_id))
    }

    /// Delivers a queued update once more, as a platform does whose confirmation got lost.
    pub fn redeliver(&self, update: &serde_json::Value) {
        self.core.with(|state| {
            let Some(bot) = state.bots.keys().next().copied() else {
                return;
            };
            let id = update["update_id"].as_i64().expect("an update has an id");
            let kind = update
                .as_object()
                .and_then(|o| o.keys().find(|k| *k != "update_id"));
            let kind = kind.expect("an update has a payload").clone();
            state.bot(bot).confirmed.remove(&id);
            let next = std::mem::replace(&mut state.bot(bot).next_update, id);
            state.queue(bot, 0, &kind, update[&kind].clone());
            state.bot(bot).next_update = next;
            state
                .bot(bot)
                .queue
                .make_contiguous()
                .sort_by_key(|pending| pending.id);
        });
    }

    /// Reads the rules broken so far; what was read no longer fails the test.
    pub fn violations(&self) -> Vec<String> {
        self.core.quietly(|state| {
            state.read = state.violations.len();
            state.violations.clone()
        })
    }

    /// Waits until a condition holds and fails the test when it does not in time.
    ///
    /// # Panics
    ///
    /// When the time is over, with the end of the ledger.
    pub async fn wait_until(&self, condition: impl Fn(&View<'_>) -> bool, timeout: Duration) {
        let mut pulse = self.core.pulse();
        let wait = async {
            while !self.view(&condition) {
                if pulse.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(timeout, wait).await.is_err() {
            let tail = self.view(|view| {
                let ledger = view.ledger();
                let tail = &ledger[ledger.len().saturating_sub(25)..];
                tail.iter()
                    .map(|event| format!("{event:?}"))
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            panic!("the condition did not hold within {timeout:?}; the ledger ends with\n{tail}");
        }
    }
}

impl Drop for TelegramServer {
    fn drop(&mut self) {
        let unread = self.core.quietly(|state| {
            // The delivery of a webhook holds the core.
            for bot in state.bots.values_mut() {
                bot.hook = None;
            }
            state
                .violations
                .split_off(state.read.min(state.violations.len()))
        });
        assert!(
            unread.is_empty() || std::thread::panicking(),
            "the bot broke the rules of Telegram:\n{}",
            unread.join("\n")
        );
    }
}
