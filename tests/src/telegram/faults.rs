//! Faults that a test asks for: one by one, or at random from a seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// What goes wrong with one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refuses with this code and description, without acting.
    Status(u16, String),
    /// Closes the connection without acting.
    DropBefore,
    /// Acts, then closes the connection without an answer.
    DropAfter,
    /// Waits before acting.
    Delay(Duration),
    /// Acts, then waits before answering: the moment when a crash leaves a send in doubt.
    DelayAnswer(Duration),
    /// Refuses with 429 and this many seconds to wait, and holds the bot to it.
    Flood(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    asked: BTreeMap<String, VecDeque<Fault>>,
    chaos: Option<Chaos>,
}

#[derive(Debug)]
struct Chaos {
    random: SmallRng,
    rate: f64,
    faults: Vec<Fault>,
    methods: Vec<String>,
}

impl Faults {
    pub(crate) fn ask(&mut self, method: &str, fault: Fault) {
        self.asked
            .entry(method.to_lowercase())
            .or_default()
            .push_back(fault);
    }

    pub(crate) fn chaos(&mut self, seed: u64, rate: f64, faults: &[Fault], methods: &[&str]) {
        self.chaos = (rate > 0.0).then(|| Chaos {
            random: SmallRng::seed_from_u64(seed),
            rate,
            faults: faults.to_vec(),
            methods: methods.iter().map(|m| m.to_lowercase()).collect(),
        });
    }

    pub(crate) fn next(&mut self, method: &str) -> Option<Fault> {
        for key in [method, "*"] {
            if let Some(fault) = self.asked.get_mut(key).and_then(VecDeque::pop_front) {
                return Some(fault);
            }
        }
        let chaos = self.chaos.as_mut()?;
        if !chaos.methods.iter().any(|m| m == method) || !chaos.random.random_bool(chaos.rate) {
            return None;
        }
        chaos.faults.choose(&mut chaos.random).cloned()
    }
}
