//! Ends an answer that does not come, or does not go on, in time.
//!
//! The time to connect belongs to the endpoint, which alone knows when it is connected.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::error::GenerateError;
use crate::generator::{Generator, ModelInfo, TextStream};
use crate::request::{Prompt, Request};

/// How long each wait may take; zero for as long as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// From the request to the first piece of text.
    pub first_token: Duration,
    /// From one piece of text to the next.
    pub between_tokens: Duration,
    /// From the request to the end.
    pub total: Duration,
}

/// A generator that fails with [`GenerateError::Timeout`] when its patience is over.
///
/// Invariant: a stream that timed out is dropped before the error is handed on, so that the work
/// behind it ends too.
pub struct Timeouts {
    inner: Arc<dyn Generator>,
    patience: Patience,
}

/// The moment a wait ends and what it is called.
#[derive(Clone, Copy)]
struct Deadline {
    at: Option<Instant>,
    phase: &'static str,
    limit: Duration,
}

/// A stream being watched; without one it is over.
struct Watched {
    stream: Option<TextStream>,
    wait: Deadline,
    total: Deadline,
}

// === impl Timeouts ===

impl Timeouts {
    /// Watches over `inner`.
    pub fn new(inner: Arc<dyn Generator>, patience: Patience) -> Self {
        Self { inner, patience }
    }
}

#[async_trait]
impl Generator for Timeouts {
    fn info(&self) -> ModelInfo {
        self.inner.info()
    }

    fn count_tokens(&self, prompt: &Prompt) -> usize {
        self.inner.count_tokens(prompt)
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        let Patience {
            first_token,
            between_tokens,
            total,
        } = self.patience;
        let total = Deadline::after("total", total);
        let first = Deadline::after("first token", first_token);
        let wait = first.or_sooner(total);
        let stream = wait.watch(self.inner.generate(request)).await??;

        let watched = Watched {
            stream: Some(stream),
            wait: first,
            total,
        };
        let stream = futures::stream::unfold(watched, move |mut watched| async move {
            let mut stream = watched.stream.take()?;
            let wait = watched.wait.or_sooner(watched.total);
            match wait.watch(stream.next()).await {
                Ok(item) => {
                    watched.wait = Deadline::after("between tokens", between_tokens);
                    watched.stream = Some(stream);
                    item.map(|item| (item, watched))
                }
                Err(error) => {
                    drop(stream);
                    Some((Err(error), watched))
                }
            }
        });
        Ok(stream.boxed())
    }
}

// === impl Deadline ===

impl Deadline {
    fn after(phase: &'static str, limit: Duration) -> Self {
        let at = if limit.is_zero() {
            None
        } else {
            Instant::now().checked_add(limit)
        };
        Self { at, phase, limit }
    }

    fn or_sooner(self, other: Self) -> Self {
        match (self.at, other.at) {
            (Some(mine), Some(others)) if others < mine => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }

    async fn watch<F: Future>(self, work: F) -> Result<F::Output, GenerateError> {
        match self.at {
            None => Ok(work.await),
            Some(at) => timeout_at(at, work)
                .await
                .map_err(|_| GenerateError::Timeout {
                    phase: self.phase,
                    limit: self.limit,
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, collect, request};
    use crate::request::Sampling;
    use crate::testing::{Script, Scripted};

    const SECOND: Duration = Duration::from_secs(1);

    fn patience() -> Patience {
        Patience {
            first_token: 30 * SECOND,
            between_tokens: 20 * SECOND,
            total: 100 * SECOND,
        }
    }

    async fn fails_in(script: Script) -> (&'static str, Duration, usize) {
        let inner = Arc::new(Scripted::new("m").then(script));
        let watched = Timeouts::new(inner.clone(), patience());
        let started = Instant::now();
        let error = match watched.generate(request("hi", Sampling::greedy(), 9)).await {
            Ok(stream) => collect(stream).await.expect_err("it stalls"),
            Err(error) => error,
        };
        let GenerateError::Timeout { phase, .. } = error else {
            panic!("{error:?}")
        };
        (phase, started.elapsed(), inner.open_streams())
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_contract() {
        contract::all(&Timeouts::new(Arc::new(Scripted::new("m")), patience())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_limit_and_the_stalled_stream_is_dropped() {
        let slow = Script::new().wait(31 * SECOND).text("late");
        assert_eq!(fails_in(slow).await, ("first token", 30 * SECOND, 0));

        let hung = Script::new().hang();
        assert_eq!(fails_in(hung).await, ("first token", 30 * SECOND, 0));

        let stalled = Script::new().wait(29 * SECOND).text("well").hang();
        assert_eq!(fails_in(stalled).await, ("between tokens", 49 * SECOND, 0));

        let endless = (0..30).fold(Script::new(), |script, _| {
            script.text("on ").wait(9 * SECOND)
        });
        assert_eq!(fails_in(endless).await, ("total", 100 * SECOND, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_waits_for_ever() {
        let day = 86_400 * SECOND;
        let script = Script::new()
            .wait(day)
            .text("a ")
            .wait(day)
            .text("b")
            .done();
        let inner = Arc::new(Scripted::new("m").then(script));
        let watched = Timeouts::new(inner, Patience::default());
        let answer = contract::answer(&watched, request("hi", Sampling::greedy(), 9)).await;
        assert_eq!(answer.expect("in its time").text, "a b");
    }
}
