//! Asks the same model again when asking again may help.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;

use crate::error::GenerateError;
use crate::generator::{Generator, ModelInfo, TextStream};
use crate::request::{Prompt, Request};

/// How often to ask and how long to wait in between: truncated exponential, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How often to ask in all; 0 counts as 1.
    pub attempts: u32,
    /// The wait after the first failure; it doubles from there.
    pub base: Duration,
    /// The longest wait. An endpoint that asks for more is given up, so that another model answers.
    pub max: Duration,
}

/// Numbers from 0 to 1, evenly spread.
pub type Random = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A generator that tries again before its first piece of text.
///
/// Invariant: nothing is tried again once a chunk was handed on; a text that stops in the middle
/// is not the retry's to mend.
pub struct Retry {
    inner: Arc<dyn Generator>,
    backoff: Backoff,
    random: Random,
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_millis(500),
            max: Duration::from_secs(8),
        }
    }
}

impl Backoff {
    /// The wait after this failure, the first one being 0; none to give up.
    ///
    /// `random` is from 0 to 1 and takes up to half of the wait away, so that many who failed
    /// together do not come back together.
    fn wait(&self, failure: u32, error: &GenerateError, random: f64) -> Option<Duration> {
        // Whoever has waited for a first token in vain gets another model's answer sooner than a
        // second wait as long.
        let patience_over =
            matches!(error, GenerateError::Timeout { phase, .. } if *phase != "connect");
        if !error.worth_retrying() || patience_over || failure + 1 >= self.attempts {
            return None;
        }
        let whole = self
            .base
            .saturating_mul(2_u32.saturating_pow(failure))
            .min(self.max);
        let wait = whole.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0);
        match error {
            GenerateError::Transient {
                after: Some(after), ..
            } if *after > self.max => None,
            GenerateError::Transient {
                after: Some(after), ..
            } => Some(wait.max(*after)),
            _ => Some(wait),
        }
    }
}

// === impl Retry ===

impl Retry {
    /// Tries `inner` again as the backoff says.
    pub fn new(inner: Arc<dyn Generator>, backoff: Backoff, random: Random) -> Self {
        Self {
            inner,
            backoff,
            random,
        }
    }

    /// Asks once and waits for the first chunk, since only before it another try is possible.
    async fn attempt(&self, request: Request) -> Result<TextStream, GenerateError> {
        let mut stream = self.inner.generate(request).await?;
        match stream.next().await {
            Some(Ok(first)) => Ok(futures::stream::iter([Ok(first)]).chain(stream).boxed()),
            Some(Err(error)) => Err(error),
            None => Err(GenerateError::Broken("the stream was empty".into())),
        }
    }
}

#[async_trait]
impl Generator for Retry {
    fn info(&self) -> ModelInfo {
        self.inner.info()
    }

    fn count_tokens(&self, prompt: &Prompt) -> usize {
        self.inner.count_tokens(prompt)
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        let mut failures = 0;
        loop {
            let error = match self.attempt(request.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            let Some(wait) = self.backoff.wait(failures, &error, (self.random)()) else {
                return Err(error);
            };
            failures += 1;
            tracing::debug!(
                model = %self.inner.info().name,
                kind = error.kind(),
                failures,
                ?wait,
                "asking the model again"
            );
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::contract::{self, Answer, request};
    use crate::request::Sampling;
    use crate::testing::{Script, Scripted};

    fn transient(after: Option<u64>) -> GenerateError {
        GenerateError::Transient {
            after: after.map(Duration::from_secs),
            source: "busy".into(),
        }
    }

    /// Asks once; the answer, the number of attempts and the seconds they took.
    async fn ask(scripts: Vec<Script>) -> (Result<Answer, GenerateError>, usize, f64) {
        let inner = Arc::new(scripts.into_iter().fold(Scripted::new("m"), Scripted::then));
        let backoff = Backoff {
            attempts: 4,
            base: Duration::from_secs(1),
            max: Duration::from_secs(3),
        };
        let retry = Retry::new(inner.clone(), backoff, Arc::new(|| 0.0));
        let started = Instant::now();
        let answer = contract::answer(&retry, request("hi", Sampling::greedy(), 9)).await;
        (
            answer,
            inner.requests().len(),
            started.elapsed().as_secs_f64().round(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        let inner = Arc::new(Scripted::new("m"));
        contract::all(&Retry::new(inner, Backoff::default(), Arc::new(|| 0.5))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn waits_twice_as_long_each_time_up_to_the_longest_wait() {
        let failing = (0..4).map(|_| Script::refuses(transient(None))).collect();
        let (answer, attempts, seconds) = ask(failing).await;
        assert!(matches!(answer, Err(GenerateError::Transient { .. })));
        assert_eq!((attempts, seconds), (4, 1.0 + 2.0 + 3.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_before_the_first_chunk_of_a_stream_is_tried_again() {
        let broken = GenerateError::Broken("reset".into());
        let scripts = vec![
            Script::new().fail(broken),
            Script::new(),
            Script::says("fine"),
        ];
        let (answer, attempts, _) = ask(scripts).await;
        assert_eq!(
            (answer.expect("at last").text.as_str(), attempts),
            ("fine", 3)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_after_the_first_chunk_is_handed_on() {
        let broken = GenerateError::Broken("reset".into());
        let (answer, attempts, _) = ask(vec![Script::new().text("so").fail(broken)]).await;
        assert!(matches!(answer, Err(GenerateError::Broken(_))));
        assert_eq!(attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_the_endpoint_asks_for_is_kept_or_not_waited_at_all() {
        let scripts = vec![Script::refuses(transient(Some(3))), Script::says("fine")];
        let (answer, attempts, seconds) = ask(scripts).await;
        assert_eq!((answer.is_ok(), attempts, seconds), (true, 2, 3.0));

        let (answer, attempts, seconds) = ask(vec![Script::refuses(transient(Some(4)))]).await;
        assert_eq!((answer.is_ok(), attempts, seconds), (false, 1, 0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_help_is_not_tried() {
        for error in [
            GenerateError::Quota("no money".into()),
            GenerateError::Refused("bad key".into()),
            GenerateError::TooLong {
                tokens: 9,
                limit: 8,
            },
            GenerateError::OutOfOrder("dead".into()),
            GenerateError::Timeout {
                phase: "first token",
                limit: Duration::from_secs(30),
            },
        ] {
            let kind = error.kind();
            let (answer, attempts, seconds) = ask(vec![Script::refuses(error)]).await;
            assert_eq!(
                (answer.is_ok(), attempts, seconds),
                (false, 1, 0.0),
                "{kind}"
            );
        }
    }

    #[test]
    fn jitter_takes_at_most_half_away() {
        let backoff = Backoff::default();
        for (random, millis) in [(0.0, 500), (0.5, 375), (1.0, 250), (7.0, 250)] {
            let wait = backoff.wait(0, &transient(None), random);
            assert_eq!(wait, Some(Duration::from_millis(millis)), "{random}");
        }
    }
}
