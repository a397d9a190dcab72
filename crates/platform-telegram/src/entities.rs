//! The entities that markup counted, as `teloxide-core` writes them.

use teloxide_core::types::{MessageEntity, MessageEntityKind};
use tertulia_domain::Styled;
use tertulia_markup::telegram::EntityKind;

/// The entities of a text, as they go out.
pub(crate) fn entities(styled: &Styled) -> Vec<MessageEntity> {
    tertulia_markup::telegram::entities(styled)
        .into_iter()
        .filter_map(|entity| {
            Some(MessageEntity::new(
                kind(entity.kind)?,
                entity.offset,
                entity.length,
            ))
        })
        .collect()
}

/// The look; none for a link to what is no address, which reads as its text then.
fn kind(kind: EntityKind) -> Option<MessageEntityKind> {
    Some(match kind {
        EntityKind::Bold => MessageEntityKind::Bold,
        EntityKind::Italic => MessageEntityKind::Italic,
        EntityKind::Underline => MessageEntityKind::Underline,
        EntityKind::Strike => MessageEntityKind::Strikethrough,
        EntityKind::Spoiler => MessageEntityKind::Spoiler,
        EntityKind::Code => MessageEntityKind::Code,
        EntityKind::Pre { language } => MessageEntityKind::Pre { language },
        EntityKind::Link { url } => MessageEntityKind::TextLink {
            url: reqwest::Url::parse(&url).ok()?,
        },
        EntityKind::Quote => MessageEntityKind::Blockquote,
    })
}
