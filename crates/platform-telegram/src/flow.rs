//! Flow control: how fast one account may speak, and who goes first.
//!
//! The windows are pacing, after the figures that Telegram publishes; `retry_after` is the truth
//! and pauses a chat to the letter, whatever the windows say.
//!
//! Invariant: at most one delivery is in flight in one chat, in the order in which finals asked.
//! Invariant: what is live never waits and never takes the room that finals will need.
//! Invariant: a chat in which nothing happens is forgotten, so memory follows what is going on.

mod window;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use window::Window;

/// Chats whose floods within [`FLOOD_SPAN`] mean that the account as a whole is too fast.
const FLOOD_CHATS: usize = 3;
const FLOOD_SPAN: Duration = Duration::from_secs(5);

/// A chat is forgotten when nothing happened in it for longer than any window looks back.
const FORGET_AFTER: Duration = Duration::from_secs(90);

/// How fast one account may speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Messages and edits of the whole account.
    pub(crate) account: (usize, Duration),
    /// Those in one chat: about one a second, a few at once.
    pub(crate) chat: (usize, Duration),
    /// Those in one group.
    pub(crate) group: (usize, Duration),
    /// Room in each of these that what is live leaves to finals.
    pub(crate) reserve: (usize, usize, usize),
    /// The pause between live edits in one group.
    pub(crate) group_spacing: Duration,
    /// The pause between drafts in one chat.
    pub(crate) draft_spacing: Duration,
}

/// The flow control of one account.
pub(crate) struct Flow {
    limits: Limits,
    state: Mutex<State>,
}

/// The right to speak in a chat, until dropped.
pub(crate) struct Lane {
    chat: i64,
    _guard: OwnedMutexGuard<()>,
}

struct State {
    account: Window,
    account_paused: Option<Instant>,
    floods: VecDeque<(Instant, i64)>,
    chats: HashMap<i64, Chat>,
    sweep_at: usize,
}

struct Chat {
    lane: Arc<tokio::sync::Mutex<()>>,
    window: Window,
    group: Option<Window>,
    paused: Option<Instant>,
    spoke: Option<Instant>,
    drafted: Option<Instant>,
    used: Instant,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            account: (30, Duration::from_secs(1)),
            chat: (3, Duration::from_secs(3)),
            group: (20, Duration::from_secs(60)),
            reserve: (5, 1, 4),
            group_spacing: Duration::from_millis(2900),
            draft_spacing: Duration::from_millis(300),
        }
    }
}

// === impl Flow ===

impl Flow {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::new(State {
                account: Window::new(limits.account),
                account_paused: None,
                floods: VecDeque::new(),
                chats: HashMap::new(),
                sweep_at: 256,
            }),
        }
    }

    /// Waits for the right to speak in a chat, behind those who asked before.
    pub(crate) async fn lane(&self, chat: i64) -> Lane {
        let lane = self.state().chat(&self.limits, chat).lane.clone();
        Lane {
            chat,
            _guard: lane.lock_owned().await,
        }
    }

    /// Waits until a final may go out; to be asked again before each attempt.
    pub(crate) async fn room(&self, lane: &Lane) {
        loop {
            let until = {
                let now = Instant::now();
                let mut state = self.state();
                match state.blocked_until(&self.limits, lane.chat, now) {
                    Some(until) => until,
                    None => return state.spend(&self.limits, lane.chat, now),
                }
            };
            tokio::time::sleep_until(until).await;
        }
    }

    /// Waits until neither the chat nor the account is paused, without taking any room.
    pub(crate) async fn unpaused(&self, lane: &Lane) {
        loop {
            let now = Instant::now();
            let Some(until) = self.state().paused_until(&self.limits, lane.chat, now) else {
                return;
            };
            tokio::time::sleep_until(until).await;
        }
    }

    /// The right to place or edit something live, if there is room to spare right now.
    pub(crate) fn live(&self, chat: i64, edit: bool) -> Option<Lane> {
        let now = Instant::now();
        let mut state = self.state();
        let guard = state.chat(&self.limits, chat).lane.clone();
        let guard = guard.try_lock_owned().ok()?;
        if state.paused_until(&self.limits, chat, now).is_some()
            || !state.has_spare_room(&self.limits, chat, edit, now)
        {
            return None;
        }
        state.spend(&self.limits, chat, now);
        Some(Lane {
            chat,
            _guard: guard,
        })
    }

    /// The right to show a draft, if the last one is long enough ago.
    ///
    /// Drafts count for the account, as every request does, but are no messages of the chat.
    pub(crate) fn draft(&self, chat: i64) -> Option<Lane> {
        let now = Instant::now();
        let mut state = self.state();
        let guard = state.chat(&self.limits, chat).lane.clone();
        let guard = guard.try_lock_owned().ok()?;
        let spacing = self.limits.draft_spacing;
        let too_soon = |last: Instant| now.duration_since(last) < spacing;
        if state.paused_until(&self.limits, chat, now).is_some()
            || state.account.room(now) <= self.limits.reserve.0
            || state.chat(&self.limits, chat).drafted.is_some_and(too_soon)
        {
            return None;
        }
        state.account.take(now);
        state.chat(&self.limits, chat).drafted = Some(now);
        Some(Lane {
            chat,
            _guard: guard,
        })
    }

    /// Whether a chat is paused, so that not even typing should be shown.
    pub(crate) fn is_paused(&self, chat: i64) -> bool {
        let now = Instant::now();
        self.state().paused_until(&self.limits, chat, now).is_some()
    }

    /// Telegram asks for a pause in this chat; in many chats at once, the account is meant.
    pub(crate) fn pause(&self, chat: i64, pause: Duration) {
        let now = Instant::now();
        let until = now + pause;
        let mut state = self.state();
        let chat_state = state.chat(&self.limits, chat);
        chat_state.paused = chat_state.paused.max(Some(until));
        state
            .floods
            .retain(|(at, other)| *other != chat && now.duration_since(*at) < FLOOD_SPAN);
        state.floods.push_back((now, chat));
        if state.floods.len() >= FLOOD_CHATS {
            state.account_paused = state.account_paused.max(Some(until));
            state.floods.clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is complete in itself, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn chat(&mut self, limits: &Limits, chat: i64) -> &mut Chat {
        let now = Instant::now();
        if self.chats.len() >= self.sweep_at && !self.chats.contains_key(&chat) {
            self.chats.retain(|_, chat| chat.is_awake(now));
            self.sweep_at = (self.chats.len() * 2).max(256);
        }
        let state = self.chats.entry(chat).or_insert_with(|| Chat {
            lane: Arc::default(),
            window: Window::new(limits.chat),
            group: (chat < 0).then(|| Window::new(limits.group)),
            paused: None,
            spoke: None,
            drafted: None,
            used: now,
        });
        state.used = now;
        state
    }

    fn paused_until(&mut self, limits: &Limits, chat: i64, now: Instant) -> Option<Instant> {
        let chat = self.chat(limits, chat).paused;
        chat.max(self.account_paused).filter(|until| *until > now)
    }

    fn blocked_until(&mut self, limits: &Limits, chat: i64, now: Instant) -> Option<Instant> {
        let paused = self.paused_until(limits, chat, now);
        let account = self.account.free_at(now);
        let chat = self.chat(limits, chat);
        let group = chat.group.as_mut().and_then(|group| group.free_at(now));
        paused.max(account).max(chat.window.free_at(now)).max(group)
    }

    fn has_spare_room(&mut self, limits: &Limits, chat: i64, edit: bool, now: Instant) -> bool {
        let (for_account, for_chat, for_group) = limits.reserve;
        let account = self.account.room(now) > for_account;
        let chat = self.chat(limits, chat);
        let group = match &mut chat.group {
            Some(group) => {
                let spaced = chat
                    .spoke
                    .is_none_or(|at| now.duration_since(at) >= limits.group_spacing);
                (spaced || !edit) && group.room(now) > for_group
            }
            None => true,
        };
        account && group && chat.window.room(now) > for_chat
    }

    fn spend(&mut self, limits: &Limits, chat: i64, now: Instant) {
        self.account.take(now);
        let chat = self.chat(limits, chat);
        chat.window.take(now);
        if let Some(group) = &mut chat.group {
            group.take(now);
        }
        chat.spoke = Some(now);
    }
}

// === impl Chat ===

impl Chat {
    fn is_awake(&self, now: Instant) -> bool {
        Arc::strong_count(&self.lane) > 1
            || self.paused.is_some_and(|until| until > now)
            || now.duration_since(self.used) < FORGET_AFTER
    }
}
