//! The service: takes updates in, commits them, and wakes the lanes.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tertulia_domain::{AccountId, Clock};
use tertulia_platform::{Intake, IntakeError, Platform, Update};
use tertulia_storage::{Arrival, Counts, Storage, StorageError};
use tracing::{debug, error};

use crate::chats::Chats;
use crate::lanes::Lanes;
use crate::listen;
use crate::operator::Operator;
use crate::settings::Settings;
use crate::shared::Shared;

/// What the service is made of.
pub struct Parts {
    /// The store.
    pub storage: Arc<dyn Storage>,
    /// The platforms by account.
    pub platforms: HashMap<AccountId, Arc<dyn Platform>>,
    /// The first settings.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who can reload the config.
    pub operator: Arc<dyn Operator>,
    /// Turns answered at the same time, at least 1.
    pub parallel: usize,
}

/// How the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What is open in the store.
    pub counts: Counts,
    /// Lanes at work.
    pub lanes: usize,
}

/// Takes updates in and answers them.
pub struct Service {
    shared: Arc<Shared>,
    lanes: Lanes,
}

// === impl Service ===

impl Service {
    /// Puts the parts together; nothing runs before [`Service::resume`] or the first update.
    pub fn new(parts: Parts) -> Arc<Self> {
        let shared = Arc::new(Shared {
            storage: parts.storage,
            platforms: parts.platforms,
            settings: ArcSwap::from_pointee(parts.settings),
            clock: parts.clock,
            operator: parts.operator,
            chats: Chats::default(),
        });
        Arc::new(Self {
            lanes: Lanes::new(shared.clone(), parts.parallel),
            shared,
        })
    }

    /// Takes up what an earlier process left.
    pub async fn resume(&self) -> Result<usize, StorageError> {
        let unfinished = self.shared.storage.unfinished().await?;
        for &conversation in &unfinished {
            self.lanes.wake(conversation);
        }
        Ok(unfinished.len())
    }

    /// The settings that new turns begin with.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.settings.load_full()
    }

    /// Puts other settings in force for every turn that begins from now on.
    pub fn swap(&self, settings: Settings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// How the service is.
    pub async fn status(&self) -> Result<Status, StorageError> {
        Ok(Status {
            counts: self.shared.storage.counts().await?,
            lanes: self.lanes.len(),
        })
    }

    /// Begins no further turn, lets those that run finish within `grace`, and gives the rest back
    /// to the store, where a restart finds them (promise G6).
    pub async fn drain(&self, grace: Duration) {
        self.lanes.drain(grace).await;
    }

    /// What follows from an update; nothing but its raw text if deciding fails.
    fn decide(&self, update: Update, settings: &Settings) -> Arrival {
        let raw = Arrival {
            account: update.account.clone(),
            key: update.key.clone(),
            raw: update.raw.clone(),
            person: None,
            at: update.at,
            effects: Vec::new(),
        };
        let Some(platform) = self.shared.platforms.get(&update.account) else {
            return raw;
        };
        let place = match &update.event {
            Some(tertulia_platform::Event::Said(said)) => Some(&said.place),
            _ => None,
        };
        let Some(place) = place.cloned() else {
            return listen::arrival(update, settings, &NOWHERE);
        };
        let capabilities = platform.capabilities(&place);
        catch_unwind(AssertUnwindSafe(|| {
            listen::arrival(update, settings, &capabilities)
        }))
        .unwrap_or_else(|_| {
            error!(account = %raw.account, update = raw.key, "an update could not be understood");
            raw
        })
    }
}

/// Where nothing is said nothing needs to be known.
const NOWHERE: tertulia_platform::Capabilities = tertulia_platform::Capabilities {
    streaming: tertulia_platform::Streaming::None,
    buttons: false,
    typing_every: None,
    split_at: None,
};

#[async_trait]
impl Intake for Service {
    async fn accept(&self, updates: Vec<Update>) -> Result<(), IntakeError> {
        let settings = self.shared.settings.load_full();
        let count = updates.len();
        let arrivals: Vec<Arrival> = updates
            .into_iter()
            .map(|update| self.decide(update, &settings))
            .collect();
        let accepted = self
            .shared
            .storage
            .accept(&arrivals)
            .await
            .map_err(|error| IntakeError(Box::new(error)))?;
        metrics::counter!("tertulia_updates_total").increment(count as u64);
        metrics::counter!("tertulia_updates_known_total").increment(accepted.known as u64);
        debug!(updates = count, known = accepted.known, "accepted");
        for turn in accepted.stopped {
            self.lanes.stop(turn);
        }
        for conversation in accepted.woken {
            self.lanes.wake(conversation);
        }
        Ok(())
    }
}
