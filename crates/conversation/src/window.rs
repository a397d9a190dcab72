//! The window: which part of a transcript is sent to a model, and how it is written down.
//!
//! Invariant: as long as the window begins at the same place, the prompt of a later turn begins
//! with the bytes of the earlier one, so that caches hit. The window therefore moves seldom and
//! far: when the budget is exceeded it gives up half of it at once.

use tertulia_domain::{Attachment, AttachmentKind, Message, MessageId, MessageKind};
use tertulia_inference::{Prompt, PromptMessage, Role};
use tertulia_storage::Anchored;

use crate::texts::{ASIDE_HEAD, GROUP_NOTE, SUMMARY_HEAD};

/// The latest messages that a window may begin with.
pub(crate) const TRANSCRIPT_MAX: u32 = 1000;
/// Of what others said between two answers, this many messages are sent along.
const ASIDES_MAX: usize = 20;
/// And of those, the latest of together this many characters.
const ASIDES_CHARS_MAX: usize = 4000;

/// What a prompt is made of.
#[derive(Clone, Copy)]
pub(crate) struct Material<'a> {
    /// What the persona is told.
    pub(crate) persona: &'a str,
    /// Whether it is a talk between two.
    pub(crate) private: bool,
    /// What stands for the time before the window.
    pub(crate) summary: Option<&'a str>,
    /// The transcript from the window's start, in order; the last exchange is the one to answer.
    pub(crate) transcript: &'a [Anchored],
}

/// A prompt that fits.
#[derive(Debug, PartialEq)]
pub(crate) struct Window {
    /// The prompt.
    pub(crate) prompt: Prompt,
    /// Its tokens.
    pub(crate) tokens: usize,
    /// Where the window begins from now on, if it had to move.
    pub(crate) moved: Option<MessageId>,
    /// Up to where the past should be summarized, if it is time to.
    pub(crate) summarize: Option<MessageId>,
}

/// Even the last exchange alone does not fit.
#[derive(Debug, PartialEq)]
pub(crate) struct TooLong;

/// The prompt for the last exchange of the transcript, within `budget` tokens.
///
/// Exchanges that do not fit are given up from the oldest on; the last one alone may use `most`.
pub(crate) fn build(
    material: Material<'_>,
    budget: usize,
    most: usize,
    count: &dyn Fn(&Prompt) -> usize,
) -> Result<Window, TooLong> {
    let exchanges = exchanges(material.transcript);
    let write = |dropped: usize| write(&material, &exchanges[dropped..]);
    let prompt = write(0);
    let tokens = count(&prompt);
    let half = || {
        // The fewest exchanges to give up so that half the budget holds the rest.
        let (mut low, mut high) = (1, exchanges.len().saturating_sub(1));
        while low < high {
            let middle = low.midpoint(high);
            if count(&write(middle)) <= budget / 2 {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    };
    if tokens <= budget {
        let crowded = tokens > budget / 4 * 3 && exchanges.len() > 1;
        let summarize = crowded.then(|| exchanges[half() - 1].anchor);
        return Ok(Window {
            prompt,
            tokens,
            moved: None,
            summarize,
        });
    }
    if exchanges.len() > 1 {
        let dropped = half();
        let prompt = write(dropped);
        let tokens = count(&prompt);
        let anchor = exchanges[dropped - 1].anchor;
        return if tokens <= most {
            Ok(Window {
                prompt,
                tokens,
                moved: Some(anchor),
                summarize: Some(anchor),
            })
        } else {
            Err(TooLong)
        };
    }
    if tokens <= most {
        Ok(Window {
            prompt,
            tokens,
            moved: None,
            summarize: None,
        })
    } else {
        Err(TooLong)
    }
}

/// The prompt of everything up to and including an anchor, for a summary of it.
pub(crate) fn prompt_up_to(material: Material<'_>, upto: MessageId) -> Prompt {
    let end = material
        .transcript
        .partition_point(|entry| entry.anchor <= upto);
    write(&material, &exchanges(&material.transcript[..end]))
}

/// What was said between two answers, and the answer.
struct Exchange<'a> {
    anchor: MessageId,
    asides: Vec<&'a Message>,
    prompts: Vec<&'a Message>,
    replies: Vec<&'a Message>,
}

fn exchanges(transcript: &[Anchored]) -> Vec<Exchange<'_>> {
    let mut exchanges: Vec<Exchange<'_>> = Vec::new();
    let mut asides = Vec::new();
    for Anchored { anchor, message } in transcript {
        if message.kind == MessageKind::Aside {
            asides.push(message);
            continue;
        }
        if exchanges.last().is_none_or(|last| last.anchor != *anchor) {
            let asides = std::mem::take(&mut asides);
            let (prompts, replies) = (Vec::new(), Vec::new());
            exchanges.push(Exchange {
                anchor: *anchor,
                asides,
                prompts,
                replies,
            });
        }
        let Some(last) = exchanges.last_mut() else {
            continue;
        };
        match message.kind {
            MessageKind::Prompt => last.prompts.push(message),
            MessageKind::Reply => last.replies.push(message),
            MessageKind::Aside | MessageKind::Command | MessageKind::Notice => {}
        }
    }
    exchanges
}

fn write(material: &Material<'_>, exchanges: &[Exchange<'_>]) -> Prompt {
    let mut system = material.persona.trim().to_owned();
    let mut add = |text: &str| {
        if !system.is_empty() {
            system.push_str("\n\n");
        }
        system.push_str(text);
    };
    if !material.private {
        add(GROUP_NOTE);
    }
    if let Some(summary) = material.summary {
        add(&format!("{SUMMARY_HEAD}\n{summary}"));
    }
    let mut messages: Vec<PromptMessage> = Vec::with_capacity(exchanges.len() * 2);
    for exchange in exchanges {
        push(
            &mut messages,
            Role::User,
            question(exchange, material.private),
        );
        for reply in &exchange.replies {
            push(&mut messages, Role::Assistant, reply.text.clone());
        }
    }
    Prompt { system, messages }
}

/// Adds a message; two of one speaker in a row become one, as most templates want it.
fn push(messages: &mut Vec<PromptMessage>, role: Role, text: String) {
    if text.trim().is_empty() {
        return;
    }
    match messages.last_mut() {
        Some(last) if last.role == role => {
            last.text.push_str("\n\n");
            last.text.push_str(&text);
        }
        _ => messages.push(PromptMessage { role, text }),
    }
}

fn question(exchange: &Exchange<'_>, private: bool) -> String {
    let mut text = String::new();
    let overheard = latest(&exchange.asides);
    if !overheard.is_empty() {
        text.push_str(ASIDE_HEAD);
        for aside in overheard {
            text.push('\n');
            text.push_str(&line(aside, false));
        }
        text.push_str("\n\n");
    }
    let mut speaker = None;
    for (index, prompt) in exchange.prompts.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        // A text that the client split is one text: the speaker is named once.
        let named = speaker == Some(&prompt.person);
        text.push_str(&line(prompt, private || named));
        speaker = Some(&prompt.person);
    }
    text
}

/// The latest of what was overheard, within the bounds.
fn latest<'a>(asides: &[&'a Message]) -> Vec<&'a Message> {
    let mut left = ASIDES_CHARS_MAX;
    let mut kept: Vec<&Message> = Vec::new();
    for aside in asides.iter().rev().take(ASIDES_MAX) {
        let length = aside.text.chars().count();
        if length > left {
            break;
        }
        left -= length;
        kept.push(aside);
    }
    kept.reverse();
    kept
}

fn line(message: &Message, anonymous: bool) -> String {
    let mut text = match &message.name {
        Some(name) if !anonymous => format!("{}: {}", name.replace(['\n', ':'], " "), message.text),
        _ => message.text.clone(),
    };
    for Attachment { kind, .. } in &message.attachments {
        let kind = match kind {
            AttachmentKind::Image => "image",
            AttachmentKind::Audio => "audio",
            AttachmentKind::Video => "video",
            AttachmentKind::Document => "file",
            AttachmentKind::Other => "attachment",
        };
        text.push_str(&format!(" [{kind} that you cannot see]"));
    }
    text
}

#[cfg(test)]
mod tests;
