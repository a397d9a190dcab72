//! A scripted, strict server of the OpenAI chat completions API over real HTTP.
//!
//! It answers each request with a [`Script`]: what is said, how fast, and how it goes wrong. It is
//! strict about the shape of requests and records them all.
//!
//! Invariant: a violation that no test read makes the drop of the server panic.

mod request;
mod script;
mod serve;

pub use request::{ChatMessage, ChatRequest};
pub use script::{Ending, Refused, Script};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The server; cloning the [`Arc`] shares it.
pub struct OpenAiServer {
    core: Arc<Core>,
    url: String,
    _task: AbortOnDropHandle<()>,
}

type Author = Arc<dyn Fn(&ChatRequest) -> Script + Send + Sync>;

/// The part that requests in flight hold on to.
pub(crate) struct Core {
    state: Mutex<State>,
    pulse: watch::Sender<u64>,
}

pub(crate) struct State {
    key: Option<String>,
    models: Vec<String>,
    author: Author,
    queued: VecDeque<Script>,
    requests: Vec<ChatRequest>,
    violations: Vec<String>,
    read: usize,
    active: usize,
    active_max: usize,
    disconnects: usize,
    finished: usize,
}

impl Core {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.pulse.send_modify(|beat| *beat += 1);
        result
    }

    fn peek<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl OpenAiServer ===

impl OpenAiServer {
    /// Starts a server that knows the model `scripted`, needs no key and echoes.
    pub async fn start() -> Arc<Self> {
        let state = State {
            key: None,
            models: vec!["scripted".into()],
            author: Arc::new(Script::echo),
            queued: VecDeque::new(),
            requests: Vec::new(),
            violations: Vec::new(),
            read: 0,
            active: 0,
            active_max: 0,
            disconnects: 0,
            finished: 0,
        };
        let core = Arc::new(Core {
            state: Mutex::new(state),
            pulse: watch::channel(0).0,
        });
        let (url, task) = crate::net::serve(serve::router(Arc::clone(&core))).await;
        Arc::new(Self {
            core,
            url: format!("{url}/v1"),
            _task: task,
        })
    }

    /// The base address, which ends in `/v1`.
    pub fn base_url(&self) -> &str {
        &self.url
    }

    /// Demands this bearer key from now on.
    pub fn require_key(&self, key: &str) {
        self.core.with(|state| state.key = Some(key.to_owned()));
    }

    /// Adds a model.
    pub fn model(&self, name: &str) {
        self.core.with(|state| state.models.push(name.to_owned()));
    }

    /// Answers each request with what the function makes of it.
    pub fn reply_with(&self, author: impl Fn(&ChatRequest) -> Script + Send + Sync + 'static) {
        self.core.with(|state| state.author = Arc::new(author));
    }

    /// Answers the next request that nothing else is queued for with this script.
    pub fn reply_next(&self, script: Script) {
        self.core.with(|state| state.queued.push_back(script));
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<ChatRequest> {
        self.core.peek(|state| state.requests.clone())
    }

    /// Reads the rules broken so far; what was read no longer fails the test.
    pub fn violations(&self) -> Vec<String> {
        self.core.with(|state| {
            state.read = state.violations.len();
            state.violations.clone()
        })
    }

    /// How many requests are being answered now.
    pub fn active(&self) -> usize {
        self.core.peek(|state| state.active)
    }

    /// The most requests that were ever answered at once.
    pub fn active_max(&self) -> usize {
        self.core.peek(|state| state.active_max)
    }

    /// How many clients went away before their answer was over.
    pub fn disconnects(&self) -> usize {
        self.core.peek(|state| state.disconnects)
    }

    /// How many answers were given to their end.
    pub fn finished(&self) -> usize {
        self.core.peek(|state| state.finished)
    }

    /// Waits until a condition on the server holds.
    ///
    /// # Panics
    ///
    /// When it does not hold in time.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool, timeout: Duration) {
        let mut pulse = self.core.pulse.subscribe();
        let wait = async {
            while !condition(self) {
                if pulse.changed().await.is_err() {
                    return;
                }
            }
        };
        assert!(
            tokio::time::timeout(timeout, wait).await.is_ok(),
            "the condition did not hold within {timeout:?}; requests {}, active {}, disconnects {}",
            self.requests().len(),
            self.active(),
            self.disconnects()
        );
    }
}

impl Drop for OpenAiServer {
    fn drop(&mut self) {
        let unread = self
            .core
            .peek(|s| s.violations[s.read.min(s.violations.len())..].to_vec());
        assert!(
            unread.is_empty() || std::thread::panicking(),
            "requests broke the rules of the endpoint:\n{}",
            unread.join("\n")
        );
    }
}
