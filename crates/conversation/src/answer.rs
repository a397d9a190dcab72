//! Making one answer.
//!
//! Invariant: an answer that ends without error has exactly one outcome, and nothing of it is
//! stored before that: an early message shows text, but only the outcome makes it the answer.

mod generation;

use std::sync::Arc;

use tertulia_domain::{
    Ask, Button, ButtonAction, MessageKind, Refusal, Styled, Turn, TurnEnd, TurnId,
};
use tertulia_platform::Platform;
use tertulia_storage::{Conversation, NewDelivery, NewMessage, Outcome};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::commands;
use crate::limits::{self, Verdict};
use crate::patience::{Halt, patiently};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::summary::SummaryJob;
use crate::texts::Text;

use generation::{Generated, Generation, How};

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
    let models = generation::candidates(settings, &persona, conversation, &verdict);
    if let (Verdict::NoMoney { per }, []) = (&verdict, models.as_slice()) {
        return Ok(answering.notice(TurnEnd::Refused, &Text::AllowanceSpent { per: *per }));
    }
    let generation = Generation {
        answering,
        conversation,
        persona: &persona,
        subject,
        after: conversation.window_after.min(generation::before(&asked)),
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
