//! Summaries of the past that no longer fits, made by the model while nobody waits.
//!
//! A summary is a view: the transcript stays whole, and `/undo summary` takes the view back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use tertulia_domain::{ConversationId, MessageId, TurnId};
use tertulia_inference::{
    Chunk, GenerateError, Generator, Prompt, PromptMessage, Request, Role, Sampling,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::patience::{Halt, describe, patiently};
use crate::settings::Persona;
use crate::shared::Shared;
use crate::texts::SUMMARIZE;
use crate::window::{self, Material, TRANSCRIPT_MAX};

/// Summaries made at the same time.
const PARALLEL: usize = 2;
/// The most tokens of a summary.
const TOKENS_MAX: usize = 300;

/// A summary to be made.
pub(crate) struct SummaryJob {
    pub(crate) conversation: ConversationId,
    /// Everything anchored up to here is to be covered.
    pub(crate) upto: MessageId,
    /// The prompt of that part, as it was sent before, so that caches hit.
    pub(crate) prompt: Prompt,
    /// What that prompt was written from, to see whether it still stands.
    pub(crate) source: Source,
    pub(crate) generator: Arc<dyn Generator>,
}

/// What a summary is made of.
pub(crate) struct Source {
    pub(crate) persona: Arc<Persona>,
    pub(crate) private: bool,
    pub(crate) summary: Option<String>,
    pub(crate) subject: TurnId,
    pub(crate) after: MessageId,
}

/// Makes summaries in the background, one per conversation at a time.
pub(crate) struct Summaries {
    shared: Arc<Shared>,
    busy: Arc<Mutex<HashSet<ConversationId>>>,
    permits: Arc<Semaphore>,
    tracker: TaskTracker,
    end: CancellationToken,
}

// === impl Summaries ===

impl Summaries {
    pub(crate) fn new(shared: Arc<Shared>, tracker: TaskTracker, end: CancellationToken) -> Self {
        let permits = Arc::new(Semaphore::new(PARALLEL));
        Self {
            shared,
            busy: Arc::default(),
            permits,
            tracker,
            end,
        }
    }

    /// Makes this summary unless one of the conversation is being made already.
    pub(crate) fn begin(&self, job: SummaryJob) {
        let conversation = job.conversation;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a free hand it is not made: the next turn asks again.
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return;
        };
        if self.tracker.is_closed() || !busy.insert(conversation) {
            return;
        }
        let (shared, end) = (self.shared.clone(), self.end.clone());
        let done = Done {
            busy: self.busy.clone(),
            conversation,
        };
        self.tracker.spawn(async move {
            let _held = (permit, done);
            tokio::select! {
                () = make(&shared, job, &end) => {}
                () = end.cancelled() => {}
            }
        });
    }
}

/// Marks a conversation as no longer busy, however its summary ended.
struct Done {
    busy: Arc<Mutex<HashSet<ConversationId>>>,
    conversation: ConversationId,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.conversation);
    }
}

async fn make(shared: &Shared, job: SummaryJob, end: &CancellationToken) {
    let text = match write(&job).await {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) => return debug!(conversation = job.conversation.0, "an empty summary"),
        Err(error) => {
            let error = describe(&error);
            return warn!(
                conversation = job.conversation.0,
                error, "no summary was made"
            );
        }
    };
    match unchanged(shared, &job, end).await {
        Ok(true) => {}
        Ok(false) => return debug!(conversation = job.conversation.0, "the past has changed"),
        Err(_) => return,
    }
    let now = shared.clock.now();
    let add = || {
        shared
            .storage
            .add_summary(job.conversation, job.upto, text.trim(), now)
    };
    if patiently(end, "store a summary", add).await.is_ok() {
        metrics::counter!("tertulia_summaries_total").increment(1);
    }
}

/// Whether what was summarized still stands as it was: a person may have erased or edited it, or
/// taken it back, while the summary was being written.
async fn unchanged(
    shared: &Shared,
    job: &SummaryJob,
    end: &CancellationToken,
) -> Result<bool, Halt> {
    let Source {
        persona,
        private,
        summary,
        subject,
        after,
    } = &job.source;
    let read = || {
        shared
            .storage
            .context(job.conversation, *subject, *after, TRANSCRIPT_MAX)
    };
    let transcript = patiently(end, "read the transcript", read).await?;
    let material = Material {
        persona: &persona.prompt,
        private: *private,
        summary: summary.as_deref(),
        transcript: &transcript,
    };
    Ok(window::prompt_up_to(material, job.upto) == job.prompt)
}

async fn write(job: &SummaryJob) -> Result<String, GenerateError> {
    let mut prompt = job.prompt.clone();
    match prompt.messages.last_mut() {
        Some(last) if last.role == Role::User => {
            last.text.push_str("\n\n");
            last.text.push_str(SUMMARIZE);
        }
        _ => prompt.messages.push(PromptMessage {
            role: Role::User,
            text: SUMMARIZE.to_owned(),
        }),
    }
    let sampling = Sampling {
        temperature: 0.2,
        ..Sampling::default()
    };
    let request = Request::new(prompt, sampling, TOKENS_MAX)
        .map_err(|error| GenerateError::Refused(Box::new(error)))?
        .in_background();
    let mut stream = job.generator.generate(request).await?;
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        match chunk? {
            Chunk::Text(more) => text.push_str(&more),
            Chunk::Done { .. } => return Ok(text),
        }
    }
    Err(GenerateError::Broken("the stream ended early".into()))
}
