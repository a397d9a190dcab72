//! Lanes: the turns of one conversation in order, different conversations side by side.
//!
//! Invariant: a conversation has at most one lane, and a lane answers one turn at a time
//! (promise G2). A lane is a task that exists only while its conversation has something to do.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tertulia_domain::{ConversationId, Turn, TurnEnd, TurnId};
use tertulia_storage::Next;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::answer::{self, Answering};
use crate::deliver;
use crate::patience::{Halt, describe, patiently};
use crate::shared::Shared;
use crate::summary::Summaries;

/// A turn that was begun this often without coming to an end took the process down each time.
const ATTEMPTS_MAX: u32 = 3;

/// All lanes.
pub(crate) struct Lanes {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    lanes: Mutex<HashMap<ConversationId, Arc<Lane>>>,
    /// How to stop a turn that runs or is about to.
    stops: Mutex<HashMap<TurnId, CancellationToken>>,
    /// Turns that may be answered at the same time.
    permits: Arc<Semaphore>,
    summaries: Summaries,
    tracker: TaskTracker,
    /// No further turn is begun.
    closing: CancellationToken,
    /// What runs is given back.
    end: CancellationToken,
}

/// One conversation that has something to do.
#[derive(Default)]
struct Lane {
    /// Something came since the lane last looked.
    again: AtomicBool,
    wake: Notify,
}

// === impl Lanes ===

impl Lanes {
    pub(crate) fn new(shared: Arc<Shared>, parallel: usize) -> Self {
        let end = CancellationToken::new();
        let tracker = TaskTracker::new();
        Self {
            inner: Arc::new(Inner {
                summaries: Summaries::new(shared.clone(), tracker.clone(), end.clone()),
                shared,
                lanes: Mutex::default(),
                stops: Mutex::default(),
                permits: Arc::new(Semaphore::new(parallel.max(1))),
                tracker,
                closing: CancellationToken::new(),
                end,
            }),
        }
    }

    /// Lets the conversation's lane look for something to do.
    pub(crate) fn wake(&self, conversation: ConversationId) {
        let mut lanes = self
            .inner
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&conversation) {
            lane.again.store(true, Ordering::Release);
            lane.wake.notify_one();
            return;
        }
        if self.inner.closing.is_cancelled() {
            return;
        }
        let lane = Arc::new(Lane::default());
        lanes.insert(conversation, lane.clone());
        let inner = self.inner.clone();
        let span = info_span!("lane", conversation = conversation.0);
        self.inner.tracker.spawn(
            async move {
                inner.run(conversation, &lane).await;
                inner.retire(conversation, &lane);
            }
            .instrument(span),
        );
    }

    /// Stops the turn if it runs, or as soon as it begins.
    pub(crate) fn stop(&self, turn: TurnId) {
        self.inner.stop_of(turn).cancel();
    }

    /// How many conversations have something to do.
    pub(crate) fn len(&self) -> usize {
        self.inner
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Begins nothing further, waits for what runs, and after `grace` has it given back.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.inner.closing.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(grace, self.inner.tracker.wait())
            .await
            .is_err()
        {
            info!("the grace time is over, what still runs goes on after the restart");
            self.inner.end.cancel();
            // Long enough to tell the store; what it does not hear is taken up again all the same.
            let _ = tokio::time::timeout(Duration::from_secs(2), self.inner.tracker.wait()).await;
        }
    }
}

// === impl Inner ===

impl Inner {
    async fn run(&self, conversation: ConversationId, lane: &Lane) {
        if deliver::flush(&self.shared, conversation, &self.end)
            .await
            .is_err()
        {
            return;
        }
        loop {
            lane.again.store(false, Ordering::Release);
            // Taken before the turn is, so that what waits here is still queued in the store.
            let permit = tokio::select! {
                permit = self.permits.clone().acquire_owned() => permit,
                () = self.closing.cancelled() => return,
            };
            let Ok(permit) = permit else { return };
            let now = self.shared.clock.now();
            let take = || self.shared.storage.take(conversation, now);
            match patiently(&self.end, "take a turn", take).await {
                Ok(Next::Turn(turn)) => {
                    let begun = Instant::now();
                    let span = info_span!("turn", turn = turn.id.0);
                    let kept = self.one(&turn, begun).instrument(span).await;
                    self.stops
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&turn.id);
                    drop(permit);
                    let flush = deliver::flush(&self.shared, conversation, &self.end);
                    if kept.is_err() || flush.await.is_err() {
                        return;
                    }
                    if self.closing.is_cancelled() {
                        return;
                    }
                }
                Ok(Next::NotBefore(at)) => {
                    drop(permit);
                    tokio::select! {
                        () = tokio::time::sleep(at.since(now)) => {}
                        () = lane.wake.notified() => {}
                        () = self.closing.cancelled() => return,
                    }
                }
                Ok(Next::Idle) => {
                    drop(permit);
                    let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
                    if !lane.again.load(Ordering::Acquire) {
                        lanes.remove(&conversation);
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Makes sure that a lane that returned early can be begun again; leaves its successor alone.
    fn retire(&self, conversation: ConversationId, lane: &Arc<Lane>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes
            .get(&conversation)
            .is_some_and(|present| Arc::ptr_eq(present, lane))
        {
            lanes.remove(&conversation);
        }
    }

    fn stop_of(&self, turn: TurnId) -> CancellationToken {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.entry(turn).or_default().clone()
    }

    /// Answers one turn and ends it; an error if it was given back.
    async fn one(&self, turn: &Turn, begun: Instant) -> Result<(), Halt> {
        let stop = self.stop_of(turn.id);
        if turn.stopped {
            stop.cancel();
        }
        let answering = Answering {
            shared: &self.shared,
            settings: self.shared.settings.load_full(),
            turn,
            stop: &stop,
            end: &self.end,
        };
        let answered = if turn.attempts > ATTEMPTS_MAX {
            error!(
                attempts = turn.attempts,
                "this turn took the process down each time, given up"
            );
            Ok(answering.broken())
        } else {
            match AssertUnwindSafe(answer::answer(&answering))
                .catch_unwind()
                .await
            {
                Ok(answered) => answered,
                Err(_) => {
                    error!("this turn panicked");
                    Ok(answering.broken())
                }
            }
        };
        let answered = match answered {
            Ok(answered) => answered,
            Err(Halt::Impossible(error)) => {
                error!(error = describe(&error), "this turn cannot be answered");
                answering.broken()
            }
            Err(halt @ Halt::Ended) => {
                if let Err(error) = self.shared.storage.give_back(turn.id).await {
                    warn!(error = describe(&error), "the turn could not be given back");
                }
                return Err(halt);
            }
        };
        let finish = || self.shared.storage.finish(turn.id, &answered.outcome);
        patiently(&self.end, "end a turn", finish).await?;
        note(answered.outcome.end, begun.elapsed());
        if let Some(job) = answered.summarize {
            self.summaries.begin(job);
        }
        Ok(())
    }
}

fn note(end: TurnEnd, took: Duration) {
    metrics::counter!("tertulia_turns_total", "end" => end.as_str()).increment(1);
    metrics::histogram!("tertulia_turn_seconds").record(took.as_secs_f64());
    debug!(
        end = end.as_str(),
        seconds = took.as_secs_f64(),
        "turn ended"
    );
}
