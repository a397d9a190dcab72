//! Asking models in order until one answers.
//!
//! Each model has its own window: the prompt is made anew for each, by its own tokenizer and
//! context. What a model wrote that then failed is forgotten (promise G5).

use std::sync::Arc;

use futures::StreamExt;
use tertulia_domain::{Message, MessageId, Money, TurnEnd, TurnId, Usage};
use tertulia_inference::{Chunk, GenerateError, Generator, Prompt, Request, TokenCount};
use tertulia_storage::Conversation;
use tracing::{debug, error, info, warn};

use super::Answering;
use crate::limits::Verdict;
use crate::live::Live;
use crate::patience::{Halt, describe, patiently};
use crate::settings::{Model, Persona, Settings};
use crate::summary::{Source, SummaryJob};
use crate::window::{self, Material, TRANSCRIPT_MAX, TooLong};

/// Tokens kept free for what templates add.
const MARGIN: usize = 32;

/// The models to ask, in order: the conversation's choice first, then the persona's.
pub(super) fn candidates(
    settings: &Settings,
    persona: &Persona,
    conversation: &Conversation,
    verdict: &Verdict,
) -> Vec<Model> {
    let no_money = matches!(verdict, Verdict::NoMoney { .. });
    let chosen = conversation
        .model
        .as_ref()
        .filter(|name| persona.models.contains(name));
    let rest = persona.models.iter().filter(|name| Some(*name) != chosen);
    chosen
        .into_iter()
        .chain(rest)
        .filter_map(|name| settings.models.get(name))
        .filter(|model| !no_money || model.price.is_none())
        .cloned()
        .collect()
}

/// What asking the models led to.
pub(super) enum Generated {
    Text(String, Box<How>),
    Stopped,
    TooLong,
    Nothing,
}

/// How a text came about.
pub(super) struct How {
    pub(super) end: TurnEnd,
    pub(super) usage: Vec<Usage>,
    /// The model, if it was not the first choice.
    pub(super) stand_in: Option<String>,
    pub(super) summarize: Option<SummaryJob>,
}

pub(super) struct Generation<'a> {
    pub(super) answering: &'a Answering<'a>,
    pub(super) conversation: &'a Conversation,
    pub(super) persona: &'a Arc<Persona>,
    pub(super) subject: TurnId,
    /// Where the transcript begins: the window's start, or what was asked if that lies before it.
    pub(super) after: MessageId,
}

/// What one model made of it.
enum Attempt {
    Complete(String, TokenCount),
    Stopped(String),
    Failed(GenerateError),
}

// === impl Generation ===

impl Generation<'_> {
    /// Asks one model after the other until one answers; what an earlier one wrote is forgotten.
    pub(super) async fn run(&self, models: &[Model]) -> Result<Generated, Halt> {
        let Answering {
            shared, turn, end, ..
        } = self.answering;
        let transcript = || {
            let (conversation, subject) = (turn.conversation, self.subject);
            shared
                .storage
                .context(conversation, subject, self.after, TRANSCRIPT_MAX)
        };
        let transcript = patiently(end, "read the transcript", transcript).await?;
        let material = Material {
            persona: &self.persona.prompt,
            private: self.conversation.private,
            summary: self
                .conversation
                .summary
                .as_ref()
                .map(|summary| summary.text.as_str()),
            transcript: &transcript,
        };
        let live = shared
            .platforms
            .get(&turn.place.account)
            .map(|platform| Live::begin(Arc::clone(shared), platform.clone(), turn, end));
        let generated = self.ask(models, material, live.as_ref()).await;
        if let Some(live) = live {
            live.finish().await;
        }
        generated
    }

    async fn ask(
        &self,
        models: &[Model],
        material: Material<'_>,
        live: Option<&Live>,
    ) -> Result<Generated, Halt> {
        let turn = self.answering.turn;
        let mut too_long = false;
        for (rank, model) in models.iter().enumerate() {
            let generator = &model.generator;
            let info = generator.info();
            let most = info
                .context
                .saturating_sub(MARGIN + self.persona.max_tokens.min(info.context / 2));
            let budget = self.persona.history.tokens.min(most);
            let count = |prompt: &Prompt| generator.count_tokens(prompt);
            let window = match window::build(material, budget, most, &count) {
                Ok(window) => window,
                Err(TooLong) => {
                    too_long = true;
                    continue;
                }
            };
            let request = Request::new(
                window.prompt,
                self.persona.sampling.clone(),
                self.persona.max_tokens,
            );
            let request = match request {
                Ok(request) => request.cached_as(turn.conversation.0.cast_unsigned()),
                Err(error) => {
                    error!(
                        error = describe(&error),
                        "the persona's sampling cannot be used"
                    );
                    return Ok(Generated::Nothing);
                }
            };
            let (text, end, tokens) = match self.one(&**generator, request, live).await? {
                Attempt::Complete(text, tokens) => (text, TurnEnd::Answered, tokens),
                Attempt::Stopped(text) if visible(&text).trim().is_empty() => {
                    return Ok(Generated::Stopped);
                }
                Attempt::Stopped(text) => {
                    let reply = count(&Prompt {
                        system: text.clone(),
                        messages: Vec::new(),
                    });
                    let (prompt, reply) = (window.tokens as u64, reply as u64);
                    (
                        text,
                        TurnEnd::Cancelled,
                        TokenCount {
                            prompt,
                            cached: 0,
                            reply,
                        },
                    )
                }
                Attempt::Failed(GenerateError::TooLong { .. }) => {
                    too_long = true;
                    continue;
                }
                Attempt::Failed(error) => {
                    let (model, kind) = (info.name.as_str(), error.kind());
                    warn!(
                        model,
                        kind,
                        error = describe(&error),
                        "the model did not answer"
                    );
                    metrics::counter!("tertulia_model_failures_total",
                        "model" => model.to_owned(), "kind" => kind)
                    .increment(1);
                    continue;
                }
            };
            if let Some(moved) = window.moved {
                self.move_window(moved).await?;
            }
            let summarize = window
                .summarize
                .filter(|_| self.persona.history.summarize && end == TurnEnd::Answered)
                .map(|upto| SummaryJob {
                    conversation: turn.conversation,
                    upto,
                    prompt: window::prompt_up_to(material, upto),
                    source: Source {
                        persona: Arc::clone(self.persona),
                        private: material.private,
                        summary: material.summary.map(str::to_owned),
                        subject: self.subject,
                        after: self.after,
                    },
                    generator: generator.clone(),
                });
            let stand_in = (rank > 0).then(|| info.name.to_string());
            let usage = vec![self.usage(model, tokens)];
            let text = visible(&text).trim().to_owned();
            let how = How {
                end,
                usage,
                stand_in,
                summarize,
            };
            return Ok(Generated::Text(text, Box::new(how)));
        }
        Ok(if too_long {
            Generated::TooLong
        } else {
            Generated::Nothing
        })
    }

    /// Asks one model, showing what it writes.
    async fn one(
        &self,
        generator: &dyn Generator,
        request: Request,
        live: Option<&Live>,
    ) -> Result<Attempt, Halt> {
        let Answering { stop, end, .. } = self.answering;
        let begun = tokio::time::Instant::now();
        let mut text = String::new();
        let generating = async {
            let mut stream = generator.generate(request).await?;
            while let Some(chunk) = stream.next().await {
                match chunk? {
                    Chunk::Text(more) => {
                        if text.is_empty() {
                            metrics::histogram!("tertulia_first_text_seconds")
                                .record(begun.elapsed().as_secs_f64());
                        }
                        text.push_str(&more);
                    }
                    Chunk::Done { tokens, finish, .. } => {
                        debug!(
                            ?finish,
                            reply = tokens.reply,
                            cached = tokens.cached,
                            "generated"
                        );
                        return Ok(tokens);
                    }
                }
                if let Some(live) = live {
                    live.show(visible(&text));
                }
            }
            Err(GenerateError::Broken("the stream ended early".into()))
        };
        let done = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = end.cancelled() => return Err(Halt::Ended),
            done = generating => Some(done),
        };
        Ok(match done {
            None => {
                info!("stopped");
                Attempt::Stopped(text)
            }
            Some(Ok(_)) if visible(&text).trim().is_empty() => {
                Attempt::Failed(GenerateError::Broken("the answer is empty".into()))
            }
            Some(Ok(tokens)) => Attempt::Complete(text, tokens),
            Some(Err(error)) => Attempt::Failed(error),
        })
    }

    async fn move_window(&self, after: MessageId) -> Result<(), Halt> {
        let Answering {
            shared, turn, end, ..
        } = self.answering;
        if self.subject != turn.id {
            return Ok(());
        }
        let set = || shared.storage.set_window(turn.conversation, after);
        patiently(end, "move the window", set).await
    }

    fn usage(&self, model: &Model, tokens: TokenCount) -> Usage {
        let turn = self.answering.turn;
        let cost = model.price.map_or(Money::ZERO, |price| {
            Money::for_tokens(tokens.prompt, price.input)
                .plus(Money::for_tokens(tokens.reply, price.output))
        });
        Usage {
            turn: turn.id,
            conversation: turn.conversation,
            person: turn.person.clone(),
            model: model.generator.info().name,
            prompt_tokens: tokens.prompt,
            cached_tokens: tokens.cached,
            reply_tokens: tokens.reply,
            cost,
            at: self.answering.shared.clock.now(),
        }
    }
}

/// The anchor right before what was asked: a retry of an old turn looks back from there.
pub(super) fn before(asked: &[Message]) -> MessageId {
    asked
        .first()
        .map_or(MessageId(i64::MAX), |first| MessageId(first.id.0 - 1))
}

/// The answer without the thoughts that some models write down first.
fn visible(text: &str) -> &str {
    let Some(thought) = text.trim_start().strip_prefix("<think>") else {
        return text;
    };
    thought
        .split_once("</think>")
        .map_or("", |(_, answer)| answer.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_not_shown() {
        assert_eq!(visible("Hello"), "Hello");
        assert_eq!(visible("<think>hm"), "");
        assert_eq!(visible("\n<think>hm</think>\n\nHello"), "Hello");
        assert_eq!(visible("a <think> b"), "a <think> b");
    }
}
