//! The text of a message, without the mentions that only say whom it is for.

use std::ops::Range;

use super::Me;
use crate::wire::{Entity, Message};

/// What a message says, below a picture if need be, and what is marked in it.
pub(super) fn of(message: &Message) -> (&str, &[Entity]) {
    match (&message.text, &message.caption) {
        (Some(text), _) => (text, &message.entities),
        (None, Some(caption)) => (caption, &message.caption_entities),
        (None, None) => ("", &[]),
    }
}

/// Cuts mentions of us off the start and the end; also says whether there was any mention.
///
/// A mention within the text stays, as it is part of a sentence there.
pub(super) fn without_mentions(text: &str, entities: &[Entity], me: &Me) -> (String, bool) {
    let mut addressed = false;
    let mut mentions = Vec::new();
    for entity in entities {
        let Some(range) = bytes_of(text, entity) else {
            continue;
        };
        let words = &text[range.clone()];
        match entity.kind.as_str() {
            "mention" if names(words.strip_prefix('@'), me) => mentions.push(range),
            "text_mention" if entity.user.as_ref().is_some_and(|user| user.id == me.id) => {
                mentions.push(range);
            }
            "bot_command" => {
                addressed |= names(words.split_once('@').map(|(_, name)| name), me);
            }
            _ => {}
        }
    }
    let mentioned = addressed || !mentions.is_empty();
    let mut kept = trimmed(text, 0..text.len());
    while let Some(mention) = mentions
        .iter()
        .find(|m| !kept.is_empty() && m.start == kept.start && m.end <= kept.end)
    {
        let rest = &text[mention.end..kept.end];
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || ",:，：".contains(c));
        kept = trimmed(text, kept.end - rest.len()..kept.end);
    }
    while let Some(mention) = mentions
        .iter()
        .find(|m| !kept.is_empty() && m.end == kept.end && m.start >= kept.start)
    {
        kept = trimmed(text, kept.start..mention.start);
    }
    (text[kept].to_owned(), mentioned)
}

fn names(name: Option<&str>, me: &Me) -> bool {
    name.is_some_and(|name| !name.is_empty() && name.eq_ignore_ascii_case(&me.username))
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

/// Where an entity lies in bytes; none if it does not lie on characters of this text.
fn bytes_of(text: &str, entity: &Entity) -> Option<Range<usize>> {
    let start = byte_at(text, 0, entity.offset)?;
    let end = byte_at(text, start, entity.length)?;
    Some(start..end)
}

/// The byte that lies this many UTF-16 units after byte `from`.
fn byte_at(text: &str, from: usize, units: usize) -> Option<usize> {
    let mut left = units;
    for (at, c) in text[from..].char_indices() {
        if left == 0 {
            return Some(from + at);
        }
        left = left.checked_sub(c.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}
