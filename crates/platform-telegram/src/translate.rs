//! An update as it came, as an event: pure, and never failing.
//!
//! What we cannot read or have no use for is an update without an event; it is stored and
//! confirmed all the same.

mod text;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tertulia_domain::{
    AccountId, Attachment, AttachmentKind, Button, ButtonAction, ChatId, Command, Language,
    PersonId, Place, Timestamp, TurnId,
};
use tertulia_platform::{
    Edited, Event, Moved, Pressed, Reach, Reacted, ReplyTo, Said, Unreachable,
};

use crate::wire;

/// The platform's name in person ids.
const PLATFORM: &str = "telegram";

/// Bounds on what others choose to be called and to be quoted with, in characters.
const NAME_MAX: usize = 128;
const QUOTE_MAX: usize = 4096;

/// Kinds of update that we ask for.
pub(crate) const ALLOWED_UPDATES: [&str; 6] = [
    "message",
    "edited_message",
    "callback_query",
    "message_reaction",
    "my_chat_member",
    "stopped_message_generation",
];

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Me {
    pub(crate) id: i64,
    pub(crate) username: String,
}

/// An update, translated.
#[derive(Debug, PartialEq)]
pub(crate) struct Translated {
    /// The update's id.
    pub(crate) id: i64,
    /// What it means; none if nothing to us.
    pub(crate) event: Option<Event>,
    /// The callback query that waits for an answer.
    pub(crate) callback: Option<String>,
    /// Whether it was of a kind that we read, and could not be read.
    pub(crate) unreadable: bool,
}

/// Translates the updates of one account.
#[derive(Clone, Copy)]
pub(crate) struct Translator<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) me: &'a Me,
    pub(crate) now: Timestamp,
}

/// A person, as events name one.
struct Somebody {
    person: PersonId,
    name: String,
    handle: Option<String>,
    automated: bool,
    language: Language,
}

// === impl Translator ===

impl Translator<'_> {
    /// Translates one update; none if it has no id, so that it is no update at all.
    pub(crate) fn update(self, raw: &str) -> Option<Translated> {
        let mut update: Value = serde_json::from_str(raw).ok()?;
        let id = update.get("update_id")?.as_i64()?;
        let mut translated = Translated {
            id,
            event: None,
            callback: None,
            unreadable: false,
        };
        let Some(kind) = ALLOWED_UPDATES
            .into_iter()
            .find(|kind| update.get(kind).is_some())
        else {
            return Some(translated);
        };
        let body = update[kind].take();
        if kind == "callback_query" {
            // Even one that we cannot read leaves a person before a turning wheel.
            translated.callback = body.get("id").and_then(Value::as_str).map(str::to_owned);
        }
        let event = match kind {
            "message" => read(body).map(|message| self.message(&message)),
            "edited_message" => read(body).map(|message| self.edited(&message)),
            "callback_query" => read(body).map(|query| self.pressed(query)),
            "message_reaction" => read(body).map(|reaction| self.reacted(&reaction)),
            "my_chat_member" => read(body).map(|change| self.reach(&change)),
            _ => read(body).map(|stopped| self.stopped(&stopped)),
        };
        translated.unreadable = event.is_none();
        translated.event = event.flatten();
        Some(translated)
    }

    fn message(self, message: &wire::Message) -> Option<Event> {
        if let Some(moved) = self.moved(message) {
            return Some(Event::Moved(moved));
        }
        if message.chat.kind == "channel" {
            return None;
        }
        let who = self.sender(message)?;
        let (raw, entities) = text::of(message);
        let (text, mentioned) = text::without_mentions(raw, entities, self.me);
        let attachments = attachments(message);
        if text.is_empty() && attachments.is_empty() && !mentioned {
            // A service message: somebody joined, a topic was closed, a title changed.
            return None;
        }
        let for_another = Command::parse(&text)
            .and_then(|(_, addressee)| addressee)
            .is_some_and(|name| !name.eq_ignore_ascii_case(&self.me.username));
        Some(Event::Said(Box::new(Said {
            place: self.place(&message.chat, thread(message)),
            private: message.chat.is_private(),
            person: who.person,
            name: who.name,
            handle: who.handle,
            chat_handle: handle(message.chat.username.as_deref()),
            automated: who.automated,
            language: who.language,
            message: message.message_id.to_string().into(),
            reply_to: self.reply_to(message),
            text,
            mentioned,
            for_another,
            attachments,
            bundle: message.media_group_id.clone(),
            at: self.at(message.date),
        })))
    }

    fn edited(self, message: &wire::Message) -> Option<Event> {
        let ours = message.from.as_ref().is_some_and(|u| u.id == self.me.id);
        let (raw, entities) = text::of(message);
        if ours || raw.is_empty() || message.chat.kind == "channel" {
            return None;
        }
        Some(Event::Edited(Edited {
            place: self.place(&message.chat, thread(message)),
            message: message.message_id.to_string().into(),
            text: text::without_mentions(raw, entities, self.me).0,
        }))
    }

    fn pressed(self, query: wire::CallbackQuery) -> Option<Event> {
        let button = Button::from_token(query.data.as_deref()?)?;
        let message = query.message?;
        let who = Somebody::of_user(&query.from);
        Some(Event::Pressed(Pressed {
            place: self.place(&message.chat, thread(&message)),
            private: message.chat.is_private(),
            person: who.person,
            name: who.name,
            handle: who.handle,
            language: who.language,
            button,
            at: self.now,
        }))
    }

    /// The client's own stop button; it stands only where drafts do, in private chats.
    fn stopped(self, stopped: &wire::StoppedGeneration) -> Option<Event> {
        if stopped.draft_id == 0 {
            return None;
        }
        let who = match &stopped.from {
            Some(user) => Somebody::of_user(user),
            None => Somebody::of_chat(&stopped.chat),
        };
        Some(Event::Pressed(Pressed {
            place: self.place(&stopped.chat, stopped.message_thread_id),
            private: stopped.chat.is_private(),
            person: who.person,
            name: who.name,
            handle: who.handle,
            language: who.language,
            button: Button {
                action: ButtonAction::Stop,
                turn: TurnId(stopped.draft_id),
            },
            at: self.now,
        }))
    }

    /// A reaction by a person known by name; anonymous ones and bots judge nothing.
    fn reacted(self, reaction: &wire::MessageReaction) -> Option<Event> {
        let user = reaction.user.as_ref().filter(|user| !user.is_bot)?;
        let emojis = |list: &[wire::Reaction]| -> Vec<String> {
            list.iter()
                .filter_map(|reaction| reaction.emoji.clone())
                .collect()
        };
        let (old, new) = (
            emojis(&reaction.old_reaction),
            emojis(&reaction.new_reaction),
        );
        if old.is_empty() && new.is_empty() {
            return None;
        }
        let emoji = new.iter().find(|emoji| !old.contains(emoji));
        Some(Event::Reacted(Reacted {
            place: self.place(&reaction.chat, None),
            person: Somebody::of_user(user).person,
            message: reaction.message_id.to_string().into(),
            emoji: emoji.or(new.last()).cloned(),
            at: self.at(reaction.date),
        }))
    }

    fn reach(self, change: &wire::MyChatMember) -> Option<Event> {
        let member = &change.new_chat_member;
        let unreachable = match member.status.as_str() {
            "kicked" if change.chat.is_private() => Some(Unreachable::Blocked),
            "kicked" | "left" => Some(Unreachable::Removed),
            "restricted"
                if member.is_member == Some(false) || member.can_send_messages == Some(false) =>
            {
                Some(Unreachable::Removed)
            }
            "member" | "administrator" | "creator" | "restricted" => None,
            _ => return None,
        };
        Some(Event::Reach(Reach {
            account: self.account.clone(),
            chat: chat_id(change.chat.id),
            unreachable,
        }))
    }

    /// A group that became a supergroup says so twice, once in each chat; both say the same.
    fn moved(self, message: &wire::Message) -> Option<Moved> {
        let (from, to) = match (message.migrate_from_chat_id, message.migrate_to_chat_id) {
            (Some(from), _) => (from, message.chat.id),
            (None, Some(to)) => (message.chat.id, to),
            (None, None) => return None,
        };
        Some(Moved {
            account: self.account.clone(),
            from: chat_id(from),
            to: chat_id(to),
        })
    }

    fn reply_to(self, message: &wire::Message) -> Option<ReplyTo> {
        let target = message.reply_to_message.as_ref()?;
        // In a topic, whatever answers nothing is said to answer the message that opened it.
        if message.is_topic_message && message.message_thread_id == Some(target.message_id) {
            return None;
        }
        let name = match (&target.sender_chat, &target.from) {
            (Some(chat), _) => Some(bounded(&chat.name(), NAME_MAX)),
            (None, Some(user)) => Some(bounded(&user.name(), NAME_MAX)),
            (None, None) => None,
        };
        let quoted = message.quote.as_ref().map(|quote| quote.text.as_str());
        Some(ReplyTo {
            message: target.message_id.to_string().into(),
            ours: target.from.as_ref().is_some_and(|u| u.id == self.me.id),
            name: name.filter(|name| !name.is_empty()),
            text: bounded(quoted.unwrap_or(text::of(target).0), QUOTE_MAX),
        })
    }

    /// Who said it; none if it was us, or nobody.
    fn sender(self, message: &wire::Message) -> Option<Somebody> {
        // Anonymous admins and channels speak through a chat; `from` is then a stand-in.
        if let Some(chat) = &message.sender_chat {
            return Some(Somebody {
                automated: message.is_automatic_forward,
                ..Somebody::of_chat(chat)
            });
        }
        let user = message.from.as_ref().filter(|user| user.id != self.me.id)?;
        Some(Somebody::of_user(user))
    }

    fn place(self, chat: &wire::Chat, thread: Option<i64>) -> Place {
        Place {
            account: self.account.clone(),
            chat: chat_id(chat.id),
            thread: thread.map(|thread| thread.to_string().into()),
        }
    }

    fn at(self, date: i64) -> Timestamp {
        if date > 0 {
            Timestamp::from_secs(date)
        } else {
            self.now
        }
    }
}

// === impl Somebody ===

impl Somebody {
    fn of_user(user: &wire::User) -> Self {
        let language = user.language_code.as_deref().unwrap_or_default();
        Self {
            person: PersonId::new(PLATFORM, user.id.to_string()),
            name: bounded(&user.name(), NAME_MAX),
            handle: handle(user.username.as_deref()),
            automated: user.is_bot,
            language: Language::from_tag(language),
        }
    }

    fn of_chat(chat: &wire::Chat) -> Self {
        Self {
            person: PersonId::new(PLATFORM, chat.id.to_string()),
            name: bounded(&chat.name(), NAME_MAX),
            handle: handle(chat.username.as_deref()),
            automated: false,
            language: Language::default(),
        }
    }
}

fn read<T: DeserializeOwned>(body: Value) -> Option<T> {
    // The error may quote the text of a message, so it is dropped.
    serde_json::from_value(body).ok()
}

fn chat_id(id: i64) -> ChatId {
    id.to_string().into()
}

/// The forum topic; outside of forums a thread id only names a chain of replies.
fn thread(message: &wire::Message) -> Option<i64> {
    message
        .message_thread_id
        .filter(|_| message.is_topic_message)
}

fn handle(username: Option<&str>) -> Option<String> {
    username
        .filter(|name| !name.is_empty())
        .map(|name| bounded(name, NAME_MAX))
}

fn bounded(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn attachments(message: &wire::Message) -> Vec<Attachment> {
    let mut found = Vec::new();
    let largest = message
        .photo
        .iter()
        .max_by_key(|size| size.width.saturating_mul(size.height));
    if let Some(photo) = largest {
        found.push(Attachment {
            kind: AttachmentKind::Image,
            reference: photo.file_id.clone(),
            name: None,
            media_type: Some("image/jpeg".to_owned()),
            bytes: photo.file_size,
        });
    }
    // An animation comes with a document beside it for old clients; it is one file.
    let document = match message.animation {
        Some(_) => &None,
        None => &message.document,
    };
    for (kind, file) in [
        (AttachmentKind::Audio, &message.voice),
        (AttachmentKind::Audio, &message.audio),
        (AttachmentKind::Video, &message.video),
        (AttachmentKind::Video, &message.video_note),
        (AttachmentKind::Video, &message.animation),
        (AttachmentKind::Document, document),
        (AttachmentKind::Other, &message.sticker),
    ] {
        if let Some(file) = file {
            found.push(Attachment {
                kind,
                reference: file.file_id.clone(),
                name: file.file_name.as_deref().map(|n| bounded(n, NAME_MAX)),
                media_type: file.mime_type.as_deref().map(|t| bounded(t, NAME_MAX)),
                bytes: file.file_size,
            });
        }
    }
    // No files, but things said all the same.
    for (name, thing) in [
        ("location", &message.location),
        ("contact", &message.contact),
        ("poll", &message.poll),
        ("dice", &message.dice),
        ("story", &message.story),
    ] {
        if thing.is_some() {
            found.push(Attachment {
                kind: AttachmentKind::Other,
                reference: String::new(),
                name: Some(name.to_owned()),
                media_type: None,
                bytes: None,
            });
        }
    }
    found
}
