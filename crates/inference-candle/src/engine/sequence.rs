//! One answer at work: its tokens, what is remembered of them, and how the next one is chosen.

use tertulia_inference::{Finish, TokenCount};

use super::forward::{Memory, Vocabulary};
use super::plan::Pending;
use super::{Event, Job};
use crate::decoder::Input;
use crate::sampler::Sampler;
use crate::text::Emitter;

/// A prompt and the answer so far.
///
/// Invariant: what the past remembers is a beginning of `tokens`, and at least one token is not
/// remembered yet.
pub(super) struct Sequence<P> {
    job: Job,
    tokens: Vec<u32>,
    past: P,
    cached: usize,
    sampler: Sampler,
    emitter: Emitter,
    /// Tokens of the answer, the one that ends it included.
    reply: usize,
    /// Whether the reader has gone.
    abandoned: bool,
}

/// What becomes of a sequence after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Grows,
    /// It has ended.
    Ended(Finish),
}

// === impl Sequence ===

impl<P: Memory> Sequence<P> {
    /// Begins behind what the past remembers of the prompt.
    pub(super) fn new(mut job: Job, past: P, number: u64) -> Self {
        let tokens = std::mem::take(&mut job.prompt);
        let mut sampler = Sampler::new(&job.sampling, number ^ fresh_seed());
        for &token in &tokens {
            sampler.saw(token);
        }
        let emitter = Emitter::new(&job.sampling.stop);
        let cached = past.tokens();
        Self {
            job,
            tokens,
            past,
            cached,
            sampler,
            emitter,
            reply: 0,
            abandoned: false,
        }
    }

    /// Length of the prompt.
    pub(super) fn prompt(&self) -> usize {
        self.tokens.len() - self.reply
    }

    /// The most tokens of the answer.
    pub(super) fn tokens_max(&self) -> usize {
        self.job.tokens_max
    }

    /// All tokens so far.
    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// What is remembered of them.
    pub(super) fn past(&self) -> &P {
        &self.past
    }

    /// Whether nobody listens any more.
    pub(super) fn abandoned(&self) -> bool {
        self.abandoned || self.job.events.is_closed()
    }

    /// What it has before it.
    pub(super) fn pending(&self) -> Pending {
        Pending {
            tokens: self.tokens.len() - self.past.tokens(),
            replying: self.reply > 0,
            background: self.job.background,
        }
    }

    /// Its part of a step with so many tokens.
    pub(super) fn input(&mut self, take: usize) -> Input<'_, P> {
        let from = self.past.tokens();
        let logits = usize::from(from + take == self.tokens.len());
        Input {
            past: &mut self.past,
            tokens: &self.tokens[from..from + take],
            logits,
        }
    }

    /// Chooses the next token and sends what it adds to the text.
    pub(super) fn grow(
        &mut self,
        scores: &mut [f32],
        vocabulary: &dyn Vocabulary,
        context: usize,
    ) -> Fate {
        let token = self.sampler.choose(scores);
        self.reply += 1;
        self.tokens.push(token);
        if vocabulary.is_end(token) {
            return Fate::Ended(Finish::Stop);
        }
        self.sampler.saw(token);
        let emitted = self.emitter.push(&vocabulary.bytes(token));
        self.send(emitted.text);
        if emitted.stopped {
            Fate::Ended(Finish::Stop)
        } else if self.reply >= self.job.tokens_max || self.tokens.len() >= context {
            Fate::Ended(Finish::Length)
        } else {
            Fate::Grows
        }
    }

    /// Sends what was held back, and the end.
    pub(super) fn finish(&mut self, finish: Finish) {
        let rest = self.emitter.finish();
        self.send(rest);
        let done = Event::Done {
            finish,
            tokens: self.count(),
        };
        self.abandoned |= self.job.events.try_send(Ok(done)).is_err();
    }

    /// Ends it with a failure.
    pub(super) fn fail(self, why: &str) {
        // Who does not listen any more need not know.
        let _ = self.job.events.try_send(Err(why.into()));
    }

    /// What it took so far.
    pub(super) fn count(&self) -> TokenCount {
        TokenCount {
            prompt: self.prompt() as u64,
            cached: self.cached as u64,
            reply: self.reply as u64,
        }
    }

    /// Its tokens, what is remembered of them, and whose they are.
    pub(super) fn into_past(self) -> (Vec<u32>, P, Option<u64>) {
        (self.tokens, self.past, self.job.conversation)
    }

    fn send(&mut self, text: String) {
        if !text.is_empty() {
            self.abandoned |= self.job.events.try_send(Ok(Event::Text(text))).is_err();
        }
    }
}

/// Differs from run to run, for answers that need not be repeatable.
fn fresh_seed() -> u64 {
    rand::random()
}
