//! Lets a model rest that failed again and again, so that a dead endpoint does not cost its
//! timeout on every message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use thiserror::Error;
use tokio::time::Instant;

use crate::error::GenerateError;
use crate::generator::{Chunk, Generator, ModelInfo, TextStream};
use crate::request::{Prompt, Request};

/// When a model rests and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuse {
    /// Failures in a row until it rests; 0 counts as 1.
    pub failures: u32,
    /// How long it rests before one request may try again.
    pub rest: Duration,
}

/// A generator that fails at once while it rests.
///
/// After the rest one request is let through as a trial while the others still fail at once; its
/// end decides. One circuit serves one model, whoever asks: share it among personas.
pub struct Circuit {
    inner: Arc<dyn Generator>,
    fuse: Fuse,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
enum State {
    /// In use, with so many failures in a row.
    Closed { failures: u32 },
    /// At rest until then.
    Open { until: Instant },
    /// One request tries.
    Trial,
}

/// One request that was let through.
///
/// Invariant: a trial always ends; if it is dropped undecided (the person stopped the answer) the
/// next request becomes the trial.
struct Attempt {
    state: Arc<Mutex<State>>,
    fuse: Fuse,
    trial: bool,
    decided: bool,
}

#[derive(Debug, Error)]
#[error("it failed several times in a row and rests")]
struct Resting;

// === impl Fuse ===

impl Default for Fuse {
    fn default() -> Self {
        Self {
            failures: 3,
            rest: Duration::from_secs(30),
        }
    }
}

// === impl Circuit ===

impl Circuit {
    /// Watches over `inner`.
    pub fn new(inner: Arc<dyn Generator>, fuse: Fuse) -> Self {
        Self {
            inner,
            fuse,
            state: Arc::new(Mutex::new(State::Closed { failures: 0 })),
        }
    }

    /// Whether requests fail at once now.
    pub fn resting(&self) -> bool {
        match *lock(&self.state) {
            State::Closed { .. } => false,
            State::Open { until } => Instant::now() < until,
            State::Trial => true,
        }
    }

    fn enter(&self) -> Result<Attempt, GenerateError> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let trial = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now >= until => true,
            State::Open { until } => return Err(resting(Some(until - now))),
            State::Trial => return Err(resting(None)),
        };
        if trial {
            *state = State::Trial;
        }
        Ok(Attempt {
            state: Arc::clone(&self.state),
            fuse: self.fuse,
            trial,
            decided: false,
        })
    }
}

#[async_trait]
impl Generator for Circuit {
    fn info(&self) -> ModelInfo {
        self.inner.info()
    }

    fn count_tokens(&self, prompt: &Prompt) -> usize {
        self.inner.count_tokens(prompt)
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        let mut attempt = self.enter()?;
        let stream = match self.inner.generate(request).await {
            Ok(stream) => stream,
            Err(error) => {
                attempt.failed(&error);
                return Err(error);
            }
        };
        let stream =
            futures::stream::unfold((stream, attempt), |(mut stream, mut attempt)| async move {
                let item = stream.next().await;
                match &item {
                    Some(Ok(Chunk::Done { .. })) => attempt.succeeded(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => attempt.failed(error),
                    None => attempt.broke_off(),
                }
                item.map(|item| (item, (stream, attempt)))
            });
        Ok(stream.boxed())
    }
}

// === impl Attempt ===

impl Attempt {
    fn succeeded(&mut self) {
        self.decided = true;
        let mut state = lock(&self.state);
        // A straggler from before the rest says nothing about now.
        if self.trial || matches!(*state, State::Closed { .. }) {
            *state = State::Closed { failures: 0 };
        }
    }

    fn failed(&mut self, error: &GenerateError) {
        // A prompt that is too long is the prompt's fault.
        if !matches!(error, GenerateError::TooLong { .. }) {
            self.broke_off();
        }
    }

    fn broke_off(&mut self) {
        if std::mem::replace(&mut self.decided, true) {
            return;
        }
        let mut state = lock(&self.state);
        let failures = match *state {
            State::Closed { failures } => failures.saturating_add(1),
            State::Trial if self.trial => u32::MAX,
            State::Open { .. } | State::Trial => return,
        };
        *state = if failures >= self.fuse.failures {
            State::Open {
                until: Instant::now() + self.fuse.rest,
            }
        } else {
            State::Closed { failures }
        };
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.trial && !self.decided {
            *lock(&self.state) = State::Open {
                until: Instant::now(),
            };
        }
    }
}

fn resting(after: Option<Duration>) -> GenerateError {
    GenerateError::Transient {
        after,
        source: Box::new(Resting),
    }
}

/// A poisoned lock holds a whole state all the same: each change is one assignment.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, answer, request};
    use crate::request::Sampling;
    use crate::testing::{Script, Scripted};

    fn broken() -> Script {
        Script::new()
            .text("so ")
            .fail(GenerateError::Broken("reset".into()))
    }

    fn circuit(scripts: Vec<Script>) -> (Arc<Scripted>, Circuit) {
        let inner = Arc::new(scripts.into_iter().fold(Scripted::new("m"), Scripted::then));
        (
            inner.clone(),
            Circuit::new(
                inner,
                Fuse {
                    failures: 2,
                    rest: Duration::from_secs(30),
                },
            ),
        )
    }

    async fn ask(circuit: &Circuit) -> bool {
        answer(circuit, request("hi", Sampling::greedy(), 9))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        contract::all(&circuit(Vec::new()).1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn rests_after_failures_in_a_row_and_comes_back() {
        let (inner, circuit) = circuit(vec![
            broken(),
            Script::says("fine"),
            broken(),
            Script::new(),
            broken(),
            Script::says("fine"),
        ]);
        assert!(!ask(&circuit).await);
        assert!(ask(&circuit).await, "one failure is not two in a row");
        assert!(!ask(&circuit).await);
        assert!(!ask(&circuit).await);
        assert!(circuit.resting());
        assert!(!ask(&circuit).await);
        assert_eq!(
            inner.requests().len(),
            4,
            "the model was asked while it rested"
        );

        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(!ask(&circuit).await, "the trial fails");
        assert!(circuit.resting(), "one failed trial is enough");
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(ask(&circuit).await);
        assert!(!circuit.resting());
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_tries_for_all_and_a_dropped_one_passes_the_trial_on() {
        let (_, circuit) = circuit(vec![broken(), broken(), Script::new().text("well").hang()]);
        assert!(!ask(&circuit).await);
        assert!(!ask(&circuit).await);
        tokio::time::advance(Duration::from_secs(31)).await;

        let hello = || request("hi", Sampling::greedy(), 9);
        let mut trial = circuit.generate(hello()).await.expect("let through");
        assert!(trial.next().await.is_some());
        assert!(!ask(&circuit).await, "a second one is not let through");
        drop(trial);
        assert!(ask(&circuit).await, "the next one is");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_prompt_is_not_the_models_fault() {
        let too_long = || {
            Script::refuses(GenerateError::TooLong {
                tokens: 9,
                limit: 8,
            })
        };
        let (_, circuit) = circuit(vec![too_long(), too_long(), too_long()]);
        for _ in 0..3 {
            assert!(!ask(&circuit).await);
        }
        assert!(!circuit.resting());
    }
}
