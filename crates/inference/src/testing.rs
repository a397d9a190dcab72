//! A generator that plays a script, for tests of everything above the seam.
//!
//! Its tokens are words with the space before them, so that limits are easy to count by eye.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use tertulia_domain::ModelName;

use crate::error::GenerateError;
use crate::generator::{Chunk, Finish, Generator, ModelInfo, TextStream, TokenCount};
use crate::request::{Prompt, Request};

/// A generator that plays one [`Script`] for each request and notes what it was asked.
///
/// When no script is left it says the last message of the prompt again, within the request's
/// limits.
pub struct Scripted {
    info: ModelInfo,
    scripts: Mutex<VecDeque<Script>>,
    requests: Mutex<Vec<Request>>,
    /// Streams that are neither finished nor dropped; shows whether a drop really cancels.
    open: Arc<AtomicUsize>,
}

/// What happens on one request, step by step.
#[derive(Debug, Default)]
pub struct Script {
    steps: VecDeque<Step>,
}

#[derive(Debug)]
enum Step {
    Text(String),
    Wait(Duration),
    Hang,
    Refuse(GenerateError),
    Fail(GenerateError),
    Done(Finish),
}

/// Counts a stream as open for as long as it lives.
struct Open(Arc<AtomicUsize>);

// === impl Scripted ===

impl Scripted {
    /// A generator of this name with a context of 4096 tokens and no script yet.
    pub fn new(name: impl Into<ModelName>) -> Self {
        Self {
            info: ModelInfo {
                name: name.into(),
                context: 4096,
                local: true,
            },
            scripts: Mutex::default(),
            requests: Mutex::default(),
            open: Arc::default(),
        }
    }

    /// Sets the size of the context.
    #[must_use]
    pub fn with_context(mut self, tokens: usize) -> Self {
        self.info.context = tokens;
        self
    }

    /// Makes it pass for an endpoint elsewhere.
    #[must_use]
    pub fn remote(mut self) -> Self {
        self.info.local = false;
        self
    }

    /// Adds the script of the next request that has none yet.
    #[must_use]
    pub fn then(self, script: Script) -> Self {
        self.push(script);
        self
    }

    /// As [`Scripted::then`], while it is in use.
    pub fn push(&self, script: Script) {
        self.scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(script);
    }

    /// What it was asked so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many of its streams are neither finished nor dropped.
    pub fn open_streams(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    fn next_script(&self, request: &Request) -> Script {
        let next = self
            .scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        next.unwrap_or_else(|| Script::echo(request))
    }
}

#[async_trait]
impl Generator for Scripted {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    fn count_tokens(&self, prompt: &Prompt) -> usize {
        let texts = prompt.messages.iter().map(|message| &message.text);
        texts
            .chain([&prompt.system])
            .map(|text| words(text).count())
            .sum()
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        let mut steps = self.next_script(&request).steps;
        let open = Open::new(&self.open);
        let tokens = TokenCount {
            prompt: self.count_tokens(request.prompt()) as u64,
            ..TokenCount::default()
        };
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);

        // Everything up to the first piece of text happens before the stream exists, as with an
        // endpoint that answers the request itself with an error.
        while let Some(Step::Wait(_) | Step::Refuse(_)) = steps.front() {
            match steps.pop_front() {
                Some(Step::Wait(duration)) => tokio::time::sleep(duration).await,
                Some(Step::Refuse(error)) => return Err(error),
                _ => break,
            }
        }

        let model = self.info.name.clone();
        let stream = futures::stream::unfold((steps, tokens, open), move |state| {
            let model = model.clone();
            let (mut steps, mut tokens, open) = state;
            async move {
                let item = loop {
                    match steps.pop_front()? {
                        Step::Text(text) => {
                            tokens.reply += words(&text).count() as u64;
                            break Ok(Chunk::Text(text));
                        }
                        Step::Wait(duration) => tokio::time::sleep(duration).await,
                        Step::Hang => std::future::pending().await,
                        Step::Refuse(error) | Step::Fail(error) => break Err(error),
                        Step::Done(finish) => {
                            break Ok(Chunk::Done {
                                finish,
                                tokens,
                                model,
                            });
                        }
                    }
                };
                Some((item, (steps, tokens, open)))
            }
        });
        Ok(stream.boxed())
    }
}

// === impl Script ===

impl Script {
    /// Nothing yet; a script that ends without [`Script::done`] breaks off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says this word by word and ends well.
    pub fn says(text: &str) -> Self {
        Self::new().text(text).done()
    }

    /// Fails before there is a stream.
    pub fn refuses(error: GenerateError) -> Self {
        Self::new().step(Step::Refuse(error))
    }

    /// Says this word by word.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        words(text).fold(self, |script, word| {
            script.step(Step::Text(word.to_owned()))
        })
    }

    /// Waits.
    #[must_use]
    pub fn wait(self, duration: Duration) -> Self {
        self.step(Step::Wait(duration))
    }

    /// Never goes on.
    #[must_use]
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Fails within the stream.
    #[must_use]
    pub fn fail(self, error: GenerateError) -> Self {
        self.step(Step::Fail(error))
    }

    /// Ends well.
    #[must_use]
    pub fn done(self) -> Self {
        self.finish(Finish::Stop)
    }

    /// Ends in this way.
    #[must_use]
    pub fn finish(self, finish: Finish) -> Self {
        self.step(Step::Done(finish))
    }

    fn echo(request: &Request) -> Self {
        let said = request
            .prompt()
            .messages
            .last()
            .map_or("", |last| last.text.as_str());
        let stops = &request.sampling().stop;
        let end = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| said.find(stop));
        let said = &said[..end.min().unwrap_or(said.len())];
        let limit = request.max_tokens();
        let finish = if words(said).count() > limit {
            Finish::Length
        } else {
            Finish::Stop
        };
        let kept: String = words(said).take(limit).collect();
        Self::new().text(&kept).finish(finish)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

// === impl Open ===

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The words of a text, each with the space after it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}
