//! What an event asks for: a pure decision, made before anything is stored.
//!
//! Messages to us become turns, what others say in a group becomes context, and everything else
//! becomes the effect it has. Rights are checked here and again where a command runs.

use std::time::Duration;

use tertulia_domain::{
    Ask, ButtonAction, Command, ConversationKey, Judgement, MessageKind, PersonId,
    PlatformMessageId, Refusal, Scope, Timestamp,
};
use tertulia_platform::{Capabilities, Event, Pressed, Said, Update};
use tertulia_storage::{Arrival, Effect, Judged, JudgedBy, NewMessage, NewPrompt};

use crate::commands;
use crate::settings::{Account, Settings};

/// Pieces of an album arrive within this time of each other.
const BUNDLE_WINDOW: Duration = Duration::from_millis(1000);
/// The next piece of a text that the client split arrives within this time.
const SPLIT_WINDOW: Duration = Duration::from_millis(1200);
/// Turns of one conversation that may wait; more are refused aloud.
const OPEN_MAX: u32 = 50;
/// What is overheard is kept up to this many characters.
const ASIDE_MAX: usize = 2000;
/// What is quoted is kept up to this many characters.
const QUOTE_MAX: usize = 500;

/// The update with all that follows from it.
pub fn arrival(update: Update, settings: &Settings, capabilities: &Capabilities) -> Arrival {
    let (person, effects) = match (&update.event, settings.accounts.get(&update.account)) {
        (Some(event), Some(account)) => (
            person_of(event).cloned(),
            effects(event, account, settings, capabilities, update.at),
        ),
        _ => (None, Vec::new()),
    };
    Arrival {
        account: update.account,
        key: update.key,
        raw: update.raw,
        person,
        at: update.at,
        effects,
    }
}

fn person_of(event: &Event) -> Option<&PersonId> {
    match event {
        Event::Said(said) => Some(&said.person),
        Event::Pressed(pressed) => Some(&pressed.person),
        Event::Reacted(reacted) => Some(&reacted.person),
        Event::Edited(_) | Event::Moved(_) | Event::Reach(_) => None,
    }
}

fn effects(
    event: &Event,
    account: &Account,
    settings: &Settings,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Vec<Effect> {
    match event {
        Event::Said(said) => hear(said, account, settings, capabilities, now),
        Event::Pressed(pressed) => press(pressed, account, now),
        Event::Edited(edited) => vec![Effect::Edited {
            account: edited.place.account.clone(),
            chat: edited.place.chat.clone(),
            message: edited.message.clone(),
            text: edited.text.clone(),
        }],
        Event::Reacted(reacted) => vec![Effect::Judged(Judged {
            account: reacted.place.account.clone(),
            chat: reacted.place.chat.clone(),
            by: JudgedBy::Message(reacted.message.clone()),
            person: reacted.person.clone(),
            judgement: reacted
                .emoji
                .as_deref()
                .map_or(Judgement::Neutral, Judgement::from_emoji),
            source: reacted
                .emoji
                .clone()
                .unwrap_or_else(|| "taken back".to_owned()),
        })],
        Event::Moved(moved) => vec![Effect::Moved {
            account: moved.account.clone(),
            from: moved.from.clone(),
            to: moved.to.clone(),
        }],
        Event::Reach(reach) => vec![Effect::Reach {
            account: reach.account.clone(),
            chat: reach.chat.clone(),
            unreachable: reach.unreachable.map(|why| why.as_str().to_owned()),
        }],
    }
}

/// What a message is to us.
#[derive(Debug, PartialEq)]
enum Heard {
    /// Something to answer.
    Ask(Ask),
    /// Something overheard.
    Aside,
    /// Nothing.
    Nothing,
}

fn hear(
    said: &Said,
    account: &Account,
    settings: &Settings,
    capabilities: &Capabilities,
    now: Timestamp,
) -> Vec<Effect> {
    let scope = if said.private {
        Scope::Thread
    } else {
        account.scope
    };
    let key = ConversationKey::new(said.place.clone(), &said.person, scope);
    let ask = match classify(said, account, settings) {
        Heard::Nothing => return Vec::new(),
        Heard::Aside => {
            let message = NewMessage {
                text: cut(&said.text, ASIDE_MAX),
                ..spoken(said, now)
            };
            let kind = MessageKind::Aside;
            let message = NewMessage { kind, ..message };
            return vec![Effect::Aside {
                key,
                private: said.private,
                message,
            }];
        }
        Heard::Ask(ask) => ask,
    };
    let mut message = spoken(said, now);
    let mut ready_at = now;
    match &ask {
        Ask::Chat => {
            message.text = with_quote(said);
            ready_at = now.after(gathering(said, capabilities));
        }
        Ask::Command(_) | Ask::Retry(_) => message.kind = MessageKind::Command,
        Ask::Refusal(_) => {}
    }
    let mut effects = Vec::with_capacity(2);
    if matches!(&ask, Ask::Command(command) if command.name == commands::STOP) {
        effects.push(Effect::Stop { key: key.clone() });
    }
    effects.push(Effect::Prompt(Box::new(NewPrompt {
        key,
        place: said.place.clone(),
        private: said.private,
        person: said.person.clone(),
        name: said.name.clone(),
        handle: said.handle.clone(),
        language: said.language,
        ask,
        message: Some(message),
        reply_to: reply_to(said.private, &said.message),
        ready_at,
        open_max: OPEN_MAX,
    })));
    effects
}

fn classify(said: &Said, account: &Account, settings: &Settings) -> Heard {
    if said.automated || said.for_another {
        return Heard::Nothing;
    }
    let command = Command::parse(&said.text);
    let ours = said.reply_to.as_ref().is_some_and(|reply| reply.ours);
    let answer = account.answer;
    let addressed = said.private
        || answer.all
        || (answer.mention && said.mentioned)
        || (answer.reply && ours)
        || match &command {
            // In a group an unknown command is probably another bot's.
            Some((command, to)) => {
                answer.command && (to.is_some() || commands::is_known(&command.name))
            }
            None => false,
        };
    let admitted = account.admission.admits(
        &said.person,
        said.handle.as_deref(),
        said.place.chat.as_str(),
        said.chat_handle.as_deref(),
    ) || settings.is_admin(&said.person);
    match (addressed, admitted) {
        (true, false) if said.private => Heard::Ask(Ask::Refusal(Refusal::NotAllowed)),
        // In a group a refusal would only be noise for everybody else.
        (_, false) => Heard::Nothing,
        (false, true) => Heard::Aside,
        (true, true) => Heard::Ask(match command {
            Some((command, _)) if command.name == commands::RETRY => Ask::Retry(None),
            Some((command, _)) => Ask::Command(command),
            None => Ask::Chat,
        }),
    }
}

/// How long to wait for further pieces of the same prompt.
fn gathering(said: &Said, capabilities: &Capabilities) -> Duration {
    let long = |limit| said.text.encode_utf16().count() >= limit;
    if said.bundle.is_some() {
        BUNDLE_WINDOW
    } else if capabilities.split_at.is_some_and(long) {
        SPLIT_WINDOW
    } else {
        Duration::ZERO
    }
}

fn spoken(said: &Said, now: Timestamp) -> NewMessage {
    NewMessage {
        kind: MessageKind::Prompt,
        person: Some(said.person.clone()),
        name: Some(said.name.clone()),
        text: said.text.clone(),
        attachments: said.attachments.clone(),
        platform_id: Some(said.message.clone()),
        at: now,
    }
}

/// The text behind a quotation of what it answers, unless that is ours and so in the context.
fn with_quote(said: &Said) -> String {
    match &said.reply_to {
        Some(reply) if !reply.ours && !reply.text.trim().is_empty() => {
            let name = reply
                .name
                .as_deref()
                .map(|name| format!("{name}: "))
                .unwrap_or_default();
            let quoted = format!("{name}{}", cut(reply.text.trim(), QUOTE_MAX));
            format!("> {}\n\n{}", quoted.replace('\n', "\n> "), said.text)
        }
        _ => said.text.clone(),
    }
}

fn press(pressed: &Pressed, account: &Account, now: Timestamp) -> Vec<Effect> {
    let place = &pressed.place;
    // Who sees a button has been let in; only denial counts.
    if !account.admission.admits(
        &pressed.person,
        pressed.handle.as_deref(),
        place.chat.as_str(),
        None,
    ) {
        return Vec::new();
    }
    let turn = pressed.button.turn;
    let judged = |judgement| {
        vec![Effect::Judged(Judged {
            account: place.account.clone(),
            chat: place.chat.clone(),
            by: JudgedBy::Turn(turn),
            person: pressed.person.clone(),
            judgement,
            source: "button".to_owned(),
        })]
    };
    match pressed.button.action {
        ButtonAction::Like => judged(Judgement::Good),
        ButtonAction::Dislike => judged(Judgement::Bad),
        ButtonAction::Stop => vec![Effect::StopTurn {
            account: place.account.clone(),
            chat: place.chat.clone(),
            turn,
        }],
        ButtonAction::Retry => {
            let scope = if pressed.private {
                Scope::Thread
            } else {
                account.scope
            };
            vec![Effect::Prompt(Box::new(NewPrompt {
                key: ConversationKey::new(place.clone(), &pressed.person, scope),
                place: place.clone(),
                private: pressed.private,
                person: pressed.person.clone(),
                name: pressed.name.clone(),
                handle: pressed.handle.clone(),
                language: pressed.language,
                ask: Ask::Retry(Some(turn)),
                message: None,
                reply_to: None,
                ready_at: now,
                open_max: OPEN_MAX,
            }))]
        }
    }
}

/// In a talk between two everybody knows what is answered.
fn reply_to(private: bool, message: &PlatformMessageId) -> Option<PlatformMessageId> {
    (!private).then(|| message.clone())
}

fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
