//! Flood control: how often a bot may speak, and whether it obeys when told to wait.
//!
//! Telegram does not publish its limits; these are the ones its FAQ hints at, each configurable.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How much a bot may say; a zero switches one limit off.
#[derive(Clone, Debug)]
pub struct FloodLimits {
    /// Sends and edits that one chat takes at once, before `chat_per_second` binds.
    pub chat_burst: u32,
    /// The steady rate of one chat.
    pub chat_per_second: f64,
    /// Sends and edits a minute in one group.
    pub group_per_minute: u32,
    /// Sends and edits a second of the whole account.
    pub account_per_second: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Account(i64),
    Chat(i64),
}

#[derive(Debug, Default)]
pub(crate) struct Flood {
    limits: Option<FloodLimits>,
    buckets: BTreeMap<(Scope, bool), Bucket>,
    bans: BTreeMap<Scope, Ban>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

#[derive(Debug)]
struct Ban {
    said: Instant,
    until: Instant,
}

/// Requests that were already on the wire when the refusal was written are not disobedient.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// What became of one attempt to speak.
pub(crate) enum Verdict {
    Pass,
    Wait { seconds: u64, ignored: bool },
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self {
            chat_burst: 5,
            chat_per_second: 1.0,
            group_per_minute: 20,
            account_per_second: 30,
        }
    }
}

// === impl Flood ===

impl Flood {
    pub(crate) fn new(limits: Option<FloodLimits>) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    pub(crate) fn set(&mut self, limits: Option<FloodLimits>) {
        self.limits = limits;
        self.buckets.clear();
    }

    pub(crate) fn ban(&mut self, scope: Scope, seconds: u64) {
        let said = Instant::now();
        let until = said + Duration::from_secs(seconds);
        self.bans.insert(scope, Ban { said, until });
    }

    pub(crate) fn check(&mut self, bot: i64, chat: i64, group: bool) -> Verdict {
        let now = Instant::now();
        for scope in [Scope::Account(bot), Scope::Chat(chat)] {
            if let Some(ban) = self.bans.get(&scope)
                && ban.until > now
            {
                let seconds = (ban.until - now).as_secs_f64().ceil() as u64;
                return Verdict::Wait {
                    seconds,
                    ignored: now > ban.said + IN_FLIGHT,
                };
            }
        }
        let Some(limits) = self.limits.clone() else {
            return Verdict::Pass;
        };
        let account = f64::from(limits.account_per_second);
        let minute = f64::from(limits.group_per_minute);
        let mut rules = vec![
            (Scope::Account(bot), false, account, account),
            (
                Scope::Chat(chat),
                false,
                f64::from(limits.chat_burst),
                limits.chat_per_second,
            ),
        ];
        if group {
            rules.push((Scope::Chat(chat), true, minute, minute / 60.0));
        }
        rules.retain(|rule| rule.2 > 0.0 && rule.3 > 0.0);
        let mut wait: Option<(Scope, f64)> = None;
        for &(scope, slow, burst, rate) in &rules {
            let bucket = self.buckets.entry((scope, slow)).or_insert(Bucket {
                tokens: burst,
                at: now,
            });
            bucket.tokens = (bucket.tokens + (now - bucket.at).as_secs_f64() * rate).min(burst);
            bucket.at = now;
            if bucket.tokens < 1.0 {
                let seconds = (1.0 - bucket.tokens) / rate;
                if wait.is_none_or(|(_, longest)| seconds > longest) {
                    wait = Some((scope, seconds));
                }
            }
        }
        if let Some((scope, seconds)) = wait {
            let seconds = seconds.ceil().max(1.0) as u64;
            self.ban(scope, seconds);
            return Verdict::Wait {
                seconds,
                ignored: false,
            };
        }
        for (scope, slow, ..) in rules {
            if let Some(bucket) = self.buckets.get_mut(&(scope, slow)) {
                bucket.tokens -= 1.0;
            }
        }
        Verdict::Pass
    }
}
