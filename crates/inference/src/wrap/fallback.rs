//! Lets the next model answer when one fails (promise G5).

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use tertulia_domain::ModelName;

use crate::error::GenerateError;
use crate::generator::{Chunk, Generator, ModelInfo, TextStream};
use crate::request::{Prompt, Request};

/// Is told of each failure that another model makes up for, and of the last one.
pub type OnFailure = Arc<dyn Fn(&ModelName, &GenerateError) + Send + Sync>;

/// Several generators in order of preference that answer as one.
///
/// A failure at any time, also in the middle of a text, makes the next model answer from the
/// beginning; what was said so far is taken back with [`Chunk::Restart`], which also comes first
/// whenever it is not the first model that answers.
///
/// Invariant: a stream ends with [`Chunk::Done`] of one model or with the error of the last one.
pub struct Fallback {
    first: Arc<dyn Generator>,
    others: Vec<Arc<dyn Generator>>,
    on_failure: OnFailure,
}

/// One request on its way through the models.
struct Relay {
    request: Request,
    waiting: VecDeque<Arc<dyn Generator>>,
    on_failure: OnFailure,
    /// The model that answers and its stream; none when it is over.
    current: Option<(ModelName, TextStream)>,
}

// === impl Fallback ===

impl Fallback {
    /// Asks `first`, and the others in their order when that fails.
    pub fn new(first: Arc<dyn Generator>, others: Vec<Arc<dyn Generator>>) -> Self {
        Self {
            first,
            others,
            on_failure: Arc::new(|_, _| {}),
        }
    }

    /// Tells `on_failure` of each failure, for metrics.
    #[must_use]
    pub fn observed_by(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Generator>> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

#[async_trait]
impl Generator for Fallback {
    /// The first model's, with the smallest context of all, so that whatever fits can be answered
    /// by any of them.
    fn info(&self) -> ModelInfo {
        let info = self.first.info();
        let context = self
            .all()
            .map(|model| model.info().context)
            .min()
            .unwrap_or(info.context);
        ModelInfo { context, ..info }
    }

    /// The most that any of them counts.
    fn count_tokens(&self, prompt: &Prompt) -> usize {
        self.all()
            .map(|model| model.count_tokens(prompt))
            .max()
            .unwrap_or(0)
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        let mut relay = Relay {
            request,
            waiting: self.others.iter().cloned().collect(),
            on_failure: Arc::clone(&self.on_failure),
            current: None,
        };
        let restart = match self.first.generate(relay.request.clone()).await {
            Ok(stream) => {
                relay.current = Some((self.first.info().name, stream));
                None
            }
            Err(error) => Some(relay.hand_over(&self.first.info().name, error).await?),
        };
        let rest = futures::stream::unfold(relay, |mut relay| async move {
            Some((relay.next().await?, relay))
        });
        Ok(futures::stream::iter(restart.map(Ok)).chain(rest).boxed())
    }
}

// === impl Relay ===

impl Relay {
    async fn next(&mut self) -> Option<Result<Chunk, GenerateError>> {
        let (model, mut stream) = self.current.take()?;
        let error = match stream.next().await {
            Some(Ok(done @ Chunk::Done { .. })) => return Some(Ok(done)),
            Some(Ok(chunk)) => {
                self.current = Some((model, stream));
                return Some(Ok(chunk));
            }
            Some(Err(error)) => error,
            None => GenerateError::Broken("the stream ended without saying so".into()),
        };
        // Its work must end before another model's begins.
        drop(stream);
        Some(self.hand_over(&model, error).await)
    }

    /// Makes the next model that can begin the current one.
    async fn hand_over(
        &mut self,
        failed: &ModelName,
        error: GenerateError,
    ) -> Result<Chunk, GenerateError> {
        self.report(failed, &error);
        let mut last = error;
        while let Some(generator) = self.waiting.pop_front() {
            let model = generator.info().name;
            match generator.generate(self.request.clone()).await {
                Ok(stream) => {
                    self.current = Some((model.clone(), stream));
                    return Ok(Chunk::Restart { model });
                }
                Err(error) => {
                    self.report(&model, &error);
                    last = error;
                }
            }
        }
        Err(last)
    }

    fn report(&self, model: &ModelName, error: &GenerateError) {
        tracing::warn!(
            %model,
            kind = error.kind(),
            error = error as &dyn Error,
            models_left = self.waiting.len(),
            "a model failed"
        );
        (self.on_failure)(model, error);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::contract::{self, request};
    use crate::generator::Finish;
    use crate::request::Sampling;
    use crate::testing::{Script, Scripted};

    fn broken() -> GenerateError {
        GenerateError::Broken("reset".into())
    }

    fn refused() -> GenerateError {
        GenerateError::Refused("bad key".into())
    }

    /// Asks models a, b, c with these scripts; the chunks as words, and the failures seen.
    async fn relay(scripts: [Script; 3]) -> (Vec<String>, Vec<String>) {
        let [a, b, c] = ["a", "b", "c"].map(Scripted::new);
        let [first, second, third] = scripts;
        let models: [Arc<dyn Generator>; 3] = [
            Arc::new(a.then(first)),
            Arc::new(b.then(second)),
            Arc::new(c.then(third)),
        ];
        let [a, b, c] = models;
        let failures = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&failures);
        let fallback = Fallback::new(a, vec![b, c]).observed_by(Arc::new(move |model, error| {
            seen.lock()
                .unwrap()
                .push(format!("{model} {}", error.kind()));
        }));
        let mut chunks = Vec::new();
        match fallback
            .generate(request("hi", Sampling::greedy(), 9))
            .await
        {
            Err(error) => chunks.push(format!("refused: {}", error.kind())),
            Ok(mut stream) => {
                while let Some(item) = stream.next().await {
                    chunks.push(match item {
                        Ok(Chunk::Text(text)) => text,
                        Ok(Chunk::Restart { model }) => format!("restart {model}"),
                        Ok(Chunk::Done { model, .. }) => format!("done {model}"),
                        Err(error) => format!("failed: {}", error.kind()),
                    });
                }
            }
        }
        let failures = failures.lock().unwrap().clone();
        (chunks, failures)
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        let models: [Arc<dyn Generator>; 2] =
            [Arc::new(Scripted::new("a")), Arc::new(Scripted::new("b"))];
        let [a, b] = models;
        contract::all(&Fallback::new(a, vec![b])).await;
    }

    #[tokio::test]
    async fn the_first_that_can_answers() {
        let unused = || Script::says("unused");
        let cases = [
            (
                [Script::says("fine"), unused(), unused()],
                vec!["fine", "done a"],
                vec![],
            ),
            (
                [Script::refuses(refused()), Script::says("fine"), unused()],
                vec!["restart b", "fine", "done b"],
                vec!["a refused"],
            ),
            (
                [
                    Script::new().text("so ").fail(broken()),
                    Script::refuses(refused()),
                    Script::says("fine"),
                ],
                vec!["so ", "restart c", "fine", "done c"],
                vec!["a broken", "b refused"],
            ),
            (
                [
                    Script::new().text("cut "),
                    Script::new().text("off "),
                    Script::says("fine"),
                ],
                vec!["cut ", "restart b", "off ", "restart c", "fine", "done c"],
                vec!["a broken", "b broken"],
            ),
            (
                [
                    Script::new().text("so ").fail(broken()),
                    Script::new(),
                    Script::new(),
                ],
                vec!["so ", "restart b", "restart c", "failed: broken"],
                vec!["a broken", "b broken", "c broken"],
            ),
            (
                [broken(), broken(), refused()].map(Script::refuses),
                vec!["refused: refused"],
                vec!["a broken", "b broken", "c refused"],
            ),
            (
                [
                    Script::new().text("x").finish(Finish::Length).text("y"),
                    unused(),
                    unused(),
                ],
                vec!["x", "done a"],
                vec![],
            ),
        ];
        for (scripts, chunks, failures) in cases {
            let (got, reported) = relay(scripts).await;
            assert_eq!(got, chunks);
            assert_eq!(reported, failures);
        }
    }

    #[tokio::test]
    async fn promises_only_what_all_can_keep() {
        let small = Arc::new(Scripted::new("small").with_context(512));
        let large = Arc::new(Scripted::new("large").with_context(8192).remote());
        let info = Fallback::new(large, vec![small]).info();
        assert_eq!(
            info,
            ModelInfo {
                name: ModelName::from("large"),
                context: 512,
                local: false
            }
        );
    }

    #[tokio::test]
    async fn a_dropped_stream_stops_the_model() {
        let model = Arc::new(Scripted::new("a").then(Script::new().text("well").hang()));
        let fallback = Fallback::new(model.clone(), Vec::new());
        let stream = fallback
            .generate(request("hi", Sampling::greedy(), 9))
            .await;
        let mut stream = stream.expect("it begins");
        assert!(stream.next().await.is_some());
        assert_eq!(model.open_streams(), 1);
        drop(stream);
        assert_eq!(model.open_streams(), 0);
    }
}
