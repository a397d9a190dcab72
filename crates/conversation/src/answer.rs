//! Making one answer.
//!
//! Invariant: an answer that ends without error has exactly one outcome, and nothing of it is
//! stored before that: an early message shows text, but only the outcome makes it the answer.

use std::sync::Arc;

use futures::StreamExt;
use tertulia_domain::{
    Ask, Button, ButtonAction, Message, MessageId, MessageKind, Money, Refusal, Styled, Turn,
    TurnEnd, TurnId, Usage,
};
use tertulia_inference::{Chunk, GenerateError, Generator, Prompt, Request, TokenCount};
use tertulia_platform::Platform;
use tertulia_storage::{Conversation, NewDelivery, NewMessage, Outcome};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::commands;
use crate::limits::{self, Verdict};
use crate::live::Live;
use crate::patience::{Halt, describe, patiently};
use crate::service::Shared;
use crate::settings::{Model, Persona, Settings};
use crate::summary::{Source, SummaryJob};
use crate::texts::Text;
use crate::window::{self, Material, TooLong};

/// The latest messages that a window may begin with.
pub(crate) const TRANSCRIPT_MAX: u32 = 1000;
/// Tokens kept free for what templates add.
const MARGIN: usize = 32;

/// One turn and what its answer needs.
pub(crate) struct Answering<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    /// The snapshot that this turn began with.
    pub(crate) settings: Arc<Settings>,
    pub(crate) turn: &'a Turn,
    /// Somebody asks to stop this turn.
    pub(crate) stop: &'a CancellationToken,
    /// The process ends.
    pub(crate) end: &'a CancellationToken,
}

/// How a turn ended, and what is to be done once that is stored.
pub(crate) struct Answered {
    pub(crate) outcome: Outcome,
    pub(crate) summarize: Option<SummaryJob>,
}

/// Answers the turn.
pub(crate) async fn answer(answering: &Answering<'_>) -> Result<Answered, Halt> {
    let Answering {
        shared, turn, end, ..
    } = answering;
    if answering.stop.is_cancelled() {
        return Ok(answering.notice(TurnEnd::Cancelled, &Text::Stopped));
    }
    let find = || shared.storage.conversation(turn.conversation);
    let Some(conversation) = patiently(end, "read a conversation", find).await? else {
        error!("the turn's conversation is gone");
        return Ok(answering.broken());
    };
    match &turn.ask {
        Ask::Chat => chat(answering, &conversation, turn.id).await,
        Ask::Retry(of) => match subject(answering, *of).await? {
            Some(subject) => chat(answering, &conversation, subject).await,
            None => Ok(answering.notice(TurnEnd::Refused, &Text::NothingToRetry)),
        },
        Ask::Command(command) => {
            let (how, text) = commands::run(answering, &conversation, command).await?;
            Ok(answering.say(how, text))
        }
        Ask::Refusal(Refusal::NotAllowed) => {
            Ok(answering.notice(TurnEnd::Refused, &Text::NotAllowed))
        }
        Ask::Refusal(Refusal::Overloaded) => {
            Ok(answering.notice(TurnEnd::Refused, &Text::Overloaded))
        }
    }
}

/// The chat turn that is to be answered again; only one of the same conversation.
async fn subject(answering: &Answering<'_>, of: Option<TurnId>) -> Result<Option<TurnId>, Halt> {
    let Answering {
        shared, turn, end, ..
    } = answering;
    let mut wanted = of;
    while let Some(id) = wanted {
        let read = || shared.storage.turn(id);
        let Some(found) = patiently(end, "read a turn", read).await? else {
            return Ok(None);
        };
        if found.conversation != turn.conversation || found.id >= turn.id {
            return Ok(None);
        }
        match found.ask {
            Ask::Chat => return Ok(Some(found.id)),
            Ask::Retry(earlier) => wanted = earlier,
            Ask::Command(_) | Ask::Refusal(_) => return Ok(None),
        }
    }
    let last = || shared.storage.last_chat(turn.conversation, turn.id);
    patiently(end, "find the last turn", last).await
}

async fn chat(
    answering: &Answering<'_>,
    conversation: &Conversation,
    subject: TurnId,
) -> Result<Answered, Halt> {
    let Answering {
        shared,
        settings,
        turn,
        end,
        ..
    } = answering;
    let asked = || shared.storage.asked(subject);
    let asked = patiently(end, "read what was asked", asked).await?;
    if asked.iter().all(|message| message.text.trim().is_empty()) {
        return Ok(answering.notice(TurnEnd::Refused, &Text::CannotRead));
    }
    let verdict = limits::check(shared, &settings.limits, turn, end).await?;
    if let Verdict::Refused(why) = verdict {
        return Ok(answering.notice(TurnEnd::Refused, &why));
    }
    let Some(persona) = settings.persona(conversation.persona.as_ref(), &turn.place.account) else {
        error!("the account has no persona");
        return Ok(answering.broken());
    };
    let models = candidates(settings, &persona, conversation, &verdict);
    if let (Verdict::NoMoney { per }, []) = (&verdict, models.as_slice()) {
        return Ok(answering.notice(TurnEnd::Refused, &Text::AllowanceSpent { per: *per }));
    }
    let generation = Generation {
        answering,
        conversation,
        persona: &persona,
        subject,
        after: conversation.window_after.min(before(&asked)),
    };
    let (text, how) = match generation.run(&models).await? {
        Generated::Text(text, how) => (text, *how),
        Generated::TooLong => return Ok(answering.notice(TurnEnd::Refused, &Text::TooLong)),
        Generated::Nothing => return Ok(answering.notice(TurnEnd::Failed, &Text::NoAnswer)),
        Generated::Stopped => return Ok(answering.notice(TurnEnd::Cancelled, &Text::Stopped)),
    };
    let unread = asked.iter().any(|message| !message.attachments.is_empty());
    Ok(answering.reply(subject, text, how, unread))
}

/// The models to ask, in order: the conversation's choice first, then the persona's.
fn candidates(
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
enum Generated {
    Text(String, Box<How>),
    Stopped,
    TooLong,
    Nothing,
}

/// How a text came about.
struct How {
    end: TurnEnd,
    usage: Vec<Usage>,
    /// The model, if it was not the first choice.
    stand_in: Option<String>,
    summarize: Option<SummaryJob>,
}

struct Generation<'a> {
    answering: &'a Answering<'a>,
    conversation: &'a Conversation,
    persona: &'a Arc<Persona>,
    subject: TurnId,
    /// Where the transcript begins: the window's start, or what was asked if that lies before it.
    after: MessageId,
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
    async fn run(&self, models: &[Model]) -> Result<Generated, Halt> {
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
fn before(asked: &[Message]) -> MessageId {
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

// === impl Answering ===

impl Answering<'_> {
    /// The end of a turn that broke on our side.
    pub(crate) fn broken(&self) -> Answered {
        self.notice(TurnEnd::Failed, &Text::Broken)
    }

    fn notice(&self, end: TurnEnd, text: &Text<'_>) -> Answered {
        self.say(end, text.say(self.turn.language))
    }

    /// Says a fixed text.
    fn say(&self, end: TurnEnd, text: String) -> Answered {
        let deliveries = self.deliveries(&text, &[]);
        let said = self.said(MessageKind::Notice, text);
        let (subject, usage, at) = (self.turn.id, Vec::new(), said.at);
        let outcome = Outcome {
            end,
            said: Some(said),
            subject,
            deliveries,
            usage,
            at,
        };
        Answered {
            outcome,
            summarize: None,
        }
    }

    /// Says what a model wrote.
    fn reply(&self, subject: TurnId, text: String, how: How, unread: bool) -> Answered {
        let language = self.turn.language;
        let mut shown = String::new();
        if unread {
            shown.push_str(&format!("_{}_\n\n", Text::AttachmentsUnread.say(language)));
        }
        shown.push_str(&text);
        if let Some(name) = &how.stand_in {
            shown.push_str(&format!(
                "\n\n_{}_",
                Text::AnsweredBy { name }.say(language)
            ));
        }
        let deliveries = self.deliveries(&shown, &self.buttons());
        let How {
            end,
            usage,
            summarize,
            ..
        } = how;
        let said = self.said(MessageKind::Reply, text);
        let at = said.at;
        let outcome = Outcome {
            end,
            said: Some(said),
            subject,
            deliveries,
            usage,
            at,
        };
        Answered { outcome, summarize }
    }

    fn said(&self, kind: MessageKind, text: String) -> NewMessage {
        NewMessage {
            kind,
            person: None,
            name: None,
            text,
            attachments: Vec::new(),
            platform_id: None,
            at: self.shared.clock.now(),
        }
    }

    /// The text as the platform shows it; never nothing, for then nobody would be answered.
    fn parts(&self, platform: &dyn Platform, markdown: &str) -> Vec<Styled> {
        let parts = platform.compose(markdown);
        if !parts.is_empty() {
            return parts;
        }
        // Marks without words, as small models write them: they are shown as they stand.
        let literal = platform.compose(&format!("~~~~\n{markdown}\n~~~~"));
        if !literal.is_empty() {
            return literal;
        }
        platform.compose(&Text::NoAnswer.say(self.turn.language))
    }

    fn deliveries(&self, markdown: &str, buttons: &[Button]) -> Vec<NewDelivery> {
        let Some(platform) = self.shared.platforms.get(&self.turn.place.account) else {
            return Vec::new();
        };
        let parts = self.parts(&**platform, markdown);
        let last = parts.len().saturating_sub(1);
        parts
            .into_iter()
            .enumerate()
            .map(|(index, content)| NewDelivery {
                part: u32::try_from(index).unwrap_or(u32::MAX),
                place: self.turn.place.clone(),
                reply_to: self.turn.reply_to.clone().filter(|_| index == 0),
                content,
                buttons: if index == last {
                    buttons.to_vec()
                } else {
                    Vec::new()
                },
            })
            .collect()
    }

    /// The buttons below a complete answer.
    fn buttons(&self) -> Vec<Button> {
        let place = &self.turn.place;
        let wanted = self
            .settings
            .accounts
            .get(&place.account)
            .is_some_and(|account| {
                if self.turn.private {
                    account.buttons.private
                } else {
                    account.buttons.groups
                }
            });
        let possible = self
            .shared
            .platforms
            .get(&place.account)
            .is_some_and(|platform| platform.capabilities(place).buttons);
        if !wanted || !possible {
            return Vec::new();
        }
        [
            ButtonAction::Retry,
            ButtonAction::Like,
            ButtonAction::Dislike,
        ]
        .map(|action| Button {
            action,
            turn: self.turn.id,
        })
        .to_vec()
    }
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
