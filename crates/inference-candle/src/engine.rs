//! One thread that lets many answers grow together.
//!
//! Jobs come through a bounded queue; sequences join and leave between steps, up to `slots` at a
//! time and as long as their memory fits.
//! Nothing here is async: a job's events go into its own queue, which has room for all of them,
//! so a slow reader never holds up the others.
//!
//! Invariant: a job ends with exactly one of [`Event::Done`] and a failure, unless its reader has
//! gone; then its sequence leaves before the next step.
//! Invariant: a step that fails or panics ends the running jobs and forgets all pasts; at the
//! third one the engine stays out of order.

mod forward;
mod plan;
mod pool;
mod sequence;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use metrics::{counter, gauge};
use tertulia_inference::{Finish, Sampling, TokenCount};
use tokio::sync::mpsc;

use self::plan::Pending;
use self::pool::Pool;
use self::sequence::{Fate, Sequence};

pub use forward::{Failure, Forward, Memory, Vocabulary};

/// Jobs that wait inside the engine, and as many again in the queue to it.
const WAITING_MAX: usize = 256;
/// Failed steps after which nothing is tried any more.
const FAILURES_MAX: usize = 3;
/// How long the end of the thread is waited for.
const JOIN_MAX: Duration = Duration::from_secs(5);

/// The engine as others see it; the last owner's drop ends its thread.
#[derive(Debug)]
pub struct Engine {
    jobs: Option<mpsc::Sender<Job>>,
    stop: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    /// Closes when the thread has ended; the lock only makes it shareable.
    ended: Mutex<std::sync::mpsc::Receiver<()>>,
}

/// How much at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Names the model in metrics and logs.
    pub name: String,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// Sequences that grow together.
    pub slots: usize,
    /// Memory for the pasts of all sequences.
    pub cache_bytes: usize,
}

/// One answer to be written.
#[derive(Debug)]
pub struct Job {
    /// The prompt; not empty, and shorter than the context.
    pub prompt: Vec<u32>,
    /// The most tokens of the answer.
    pub tokens_max: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// Names the conversation that it goes on with.
    pub conversation: Option<u64>,
    /// Whether nobody waits for it.
    pub background: bool,
    /// Where the answer goes; needs room for two more events than `tokens_max`.
    pub events: mpsc::Sender<Result<Event, Failure>>,
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// More text.
    Text(String),
    /// The end.
    Done {
        /// Why it ended.
        finish: Finish,
        /// What it took.
        tokens: TokenCount,
    },
}

/// Why a job was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// Too many wait already.
    Full,
    /// The engine is out of order.
    OutOfOrder,
}

/// What the thread owns.
struct Worker<F: Forward> {
    model: F,
    vocabulary: Arc<dyn Vocabulary>,
    limits: Limits,
    jobs: mpsc::Receiver<Job>,
    open: bool,
    waiting: VecDeque<Job>,
    waiting_background: VecDeque<Job>,
    working: Vec<Sequence<F::Past>>,
    pool: Pool<F::Past>,
    stop: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    failures: usize,
    turn: u64,
}

// === impl Engine ===

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<F: Forward>(
        model: F,
        vocabulary: Arc<dyn Vocabulary>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let (jobs, receiver) = mpsc::channel(WAITING_MAX);
        let (ending, ended) = std::sync::mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let broken = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            pool: Pool::new(limits.cache_bytes),
            model,
            vocabulary,
            jobs: receiver,
            open: true,
            waiting: VecDeque::new(),
            waiting_background: VecDeque::new(),
            working: Vec::new(),
            stop: Arc::clone(&stop),
            broken: Arc::clone(&broken),
            failures: 0,
            turn: 0,
            limits,
        };
        thread::Builder::new()
            .name("model".to_owned())
            .spawn(move || {
                worker.run();
                // Nobody listens when the owner did not wait for the end.
                let _ = ending.send(());
            })?;
        Ok(Self {
            jobs: Some(jobs),
            stop,
            broken,
            ended: Mutex::new(ended),
        })
    }

    /// Hands over a job; its events tell the rest.
    ///
    /// # Errors
    /// When too many wait, or the engine is out of order.
    pub fn submit(&self, job: Job) -> Result<(), Refusal> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Refusal::OutOfOrder);
        }
        let jobs = self.jobs.as_ref().ok_or(Refusal::OutOfOrder)?;
        jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Full,
            mpsc::error::TrySendError::Closed(_) => Refusal::OutOfOrder,
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(JOIN_MAX).is_err() {
            tracing::warn!("a model's thread takes long to end; it is left to itself");
        }
    }
}

// === impl Worker ===

impl<F: Forward> Worker<F> {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            self.receive();
            if !self.open && self.working.is_empty() && self.nothing_waits() {
                break;
            }
            self.leave();
            let work = AssertUnwindSafe(|| {
                self.admit();
                self.step()
            });
            match catch_unwind(work) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.fail(&error.to_string()),
                Err(panic) => self.fail(&said(panic.as_ref())),
            }
            gauge!("tertulia_model_sequences", "model" => self.limits.name.clone())
                .set(self.working.len() as f64);
        }
        self.end_all("the model was put away");
    }

    fn nothing_waits(&self) -> bool {
        self.waiting.is_empty() && self.waiting_background.is_empty()
    }

    /// Takes jobs from the queue; waits for one if there is nothing else to do.
    fn receive(&mut self) {
        let idle = self.working.is_empty() && self.nothing_waits();
        if idle && self.open {
            match self.jobs.blocking_recv() {
                Some(job) => self.line_up(job),
                None => self.open = false,
            }
        }
        while self.waiting.len() + self.waiting_background.len() < WAITING_MAX {
            match self.jobs.try_recv() {
                Ok(job) => self.line_up(job),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.open = false;
                    break;
                }
            }
        }
    }

    fn line_up(&mut self, job: Job) {
        let line = if job.background {
            &mut self.waiting_background
        } else {
            &mut self.waiting
        };
        line.push_back(job);
    }

    /// Lets those go whom nobody listens to any more.
    fn leave(&mut self) {
        self.waiting.retain(|job| !job.events.is_closed());
        self.waiting_background
            .retain(|job| !job.events.is_closed());
        let mut at = 0;
        while at < self.working.len() {
            if self.working[at].abandoned() {
                self.rest(at);
            } else {
                at += 1;
            }
        }
    }

    /// Lets waiting jobs begin while there are slots and memory.
    fn admit(&mut self) {
        while self.working.len() < self.limits.slots {
            // The last slot is kept for somebody who waits for the answer.
            let spare = self.working.len() + 1 < self.limits.slots || self.limits.slots == 1;
            let urgent = !self.waiting.is_empty();
            if !urgent && !spare {
                break;
            }
            let line = if urgent {
                &self.waiting
            } else {
                &self.waiting_background
            };
            let Some(job) = line.front() else { break };
            let needed = self.needed(job.prompt.len(), job.tokens_max);
            let promised: usize = self
                .working
                .iter()
                .map(|one| self.needed(one.prompt(), one.tokens_max()))
                .sum();
            if !self.working.is_empty() && promised + needed > self.pool.bytes_max() {
                break;
            }
            let line = if urgent {
                &mut self.waiting
            } else {
                &mut self.waiting_background
            };
            let Some(job) = line.pop_front() else { break };
            let working = self.working.iter().map(|one| (one.tokens(), one.past()));
            let begun = self.pool.begin(&job.prompt, job.conversation, working);
            // Without its beginning it would only be slower; with an error all would be lost.
            let past = begun.unwrap_or_else(|error| {
                tracing::warn!(model = %self.limits.name, %error, "a past could not be copied");
                None
            });
            let past = past.unwrap_or_else(|| self.model.empty());
            self.turn += 1;
            self.working.push(Sequence::new(job, past, self.turn));
            self.pool.fit(promised + needed);
        }
    }

    fn needed(&self, prompt: usize, tokens_max: usize) -> usize {
        (prompt + tokens_max).min(self.limits.context) * self.model.bytes_per_token()
    }

    /// Computes one step for those whose turn it is, and hands out what came of it.
    fn step(&mut self) -> Result<(), Failure> {
        if self.working.is_empty() {
            return Ok(());
        }
        let pending: Vec<Pending> = self.working.iter().map(Sequence::pending).collect();
        let take = plan::plan(&pending, self.turn);
        self.turn += 1;

        let mut movers = Vec::new();
        let mut inputs = Vec::new();
        for (at, (sequence, take)) in self.working.iter_mut().zip(take).enumerate() {
            if take > 0 {
                movers.push(at);
                inputs.push(sequence.input(take));
            }
        }
        if inputs.is_empty() {
            return Ok(());
        }
        let scores = self.model.step(&mut inputs)?;
        drop(inputs);

        let mut ended = Vec::new();
        for (at, scores) in movers.into_iter().zip(scores) {
            let Some(mut scores) = scores.into_iter().next_back() else {
                continue;
            };
            let sequence = &mut self.working[at];
            let fate = sequence.grow(&mut scores, self.vocabulary.as_ref(), self.limits.context);
            if let Fate::Ended(finish) = fate {
                ended.push((at, finish));
            }
        }
        for (at, finish) in ended.into_iter().rev() {
            self.working[at].finish(finish);
            self.rest(at);
        }
        Ok(())
    }

    /// Takes a sequence out of work and keeps its past for later.
    fn rest(&mut self, at: usize) {
        let sequence = self.working.remove(at);
        let count = sequence.count();
        let model = &self.limits.name;
        for (kind, tokens) in [
            ("prompt", count.prompt - count.cached),
            ("cached", count.cached),
            ("reply", count.reply),
        ] {
            counter!("tertulia_model_tokens_total", "model" => model.clone(), "kind" => kind)
                .increment(tokens);
        }
        let (tokens, past, conversation) = sequence.into_past();
        self.pool.rest(tokens, past, conversation);
        let working = self.working.iter().map(|one| one.past().bytes()).sum();
        self.pool.fit(working);
    }

    fn fail(&mut self, why: &str) {
        self.failures += 1;
        tracing::error!(model = %self.limits.name, failures = self.failures, why, "a step failed");
        // Before anybody hears of it, so that whoever hears of it finds it so.
        self.broken
            .store(self.failures >= FAILURES_MAX, Ordering::Relaxed);
        for sequence in self.working.drain(..) {
            sequence.fail(why);
        }
        self.pool.clear();
        if self.failures >= FAILURES_MAX {
            self.end_all("the model failed too often");
        }
    }

    fn end_all(&mut self, why: &str) {
        for sequence in self.working.drain(..) {
            sequence.fail(why);
        }
        self.jobs.close();
        let mut late = Vec::new();
        while let Ok(job) = self.jobs.try_recv() {
            late.push(job);
        }
        let waiting = self
            .waiting
            .drain(..)
            .chain(self.waiting_background.drain(..));
        for job in waiting.chain(late) {
            // Who does not listen any more need not know.
            let _ = job.events.try_send(Err(why.into()));
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests;
