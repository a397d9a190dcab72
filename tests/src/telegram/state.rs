//! What the server knows: bots, chats, people, messages, files.
//!
//! Invariant: the state is changed under one lock in short sections and never waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::TelegramOptions;
use super::entities::{self, Styled};
use super::faults::Faults;
use super::flood::Flood;
use super::ledger::{Button, Draft, Event, What};
use super::updates::Pending;
use super::webhook::Hook;

pub(crate) struct State {
    pub(crate) options: TelegramOptions,
    pub(crate) started: Instant,
    pub(crate) bots: BTreeMap<i64, Bot>,
    pub(crate) chats: BTreeMap<i64, Chat>,
    pub(crate) people: BTreeMap<i64, Person>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) callbacks: BTreeMap<String, Callback>,
    pub(crate) flood: Flood,
    pub(crate) faults: Faults,
    pub(crate) ledger: Vec<Event>,
    pub(crate) violations: Vec<String>,
    /// How many violations a test has read.
    pub(crate) read: usize,
    serial: i64,
}

pub(crate) struct Bot {
    pub(crate) id: i64,
    pub(crate) token: String,
    pub(crate) username: String,
    pub(crate) privacy: bool,
    pub(crate) queue: VecDeque<Pending>,
    pub(crate) next_update: i64,
    pub(crate) confirmed: BTreeSet<i64>,
    /// None is the default set, which leaves out reactions and chat_member.
    pub(crate) allowed: Option<Vec<String>>,
    /// The number of the newest poll; an older one that still waits is in conflict.
    pub(crate) poll: u64,
    pub(crate) hook: Option<Hook>,
    /// One counter for all private chats and basic groups of a bot.
    pub(crate) next_message: i64,
    pub(crate) commands: BTreeMap<String, Value>,
}

#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) language: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Private,
    Group,
    Supergroup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Member,
    Admin,
    /// Kicked from a group, or blocked by the person.
    Out,
    /// The person never wrote.
    Stranger,
}

pub(crate) struct Chat {
    pub(crate) id: i64,
    pub(crate) kind: Kind,
    pub(crate) title: String,
    pub(crate) forum: bool,
    pub(crate) bots: BTreeMap<i64, Standing>,
    pub(crate) topics: BTreeMap<i64, Topic>,
    pub(crate) messages: BTreeMap<i64, Message>,
    pub(crate) next_message: i64,
    pub(crate) migrated_to: Option<i64>,
    pub(crate) draft: Option<Draft>,
}

pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) closed: bool,
    pub(crate) deleted: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) from: i64,
    pub(crate) from_bot: bool,
    pub(crate) date: i64,
    pub(crate) edit_date: Option<i64>,
    pub(crate) styled: Styled,
    pub(crate) buttons: Vec<Vec<Button>>,
    pub(crate) reply_to: Option<i64>,
    pub(crate) thread: Option<i64>,
    /// The field of the media in the message and its value.
    pub(crate) media: Option<(String, Value)>,
    pub(crate) album: Option<String>,
    pub(crate) service: Option<(String, Value)>,
    pub(crate) history: Vec<String>,
    pub(crate) bot_reactions: Vec<String>,
    pub(crate) deleted: bool,
}

pub(crate) struct Callback {
    pub(crate) bot: i64,
    pub(crate) at: Instant,
    pub(crate) answer: Option<String>,
}

/// Wall time in seconds, as the Bot API counts.
#[expect(
    clippy::disallowed_methods,
    reason = "an emulator of the outside has its own wall clock"
)]
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

// === impl State ===

impl State {
    pub(crate) fn new(options: TelegramOptions) -> Self {
        Self {
            started: Instant::now(),
            bots: BTreeMap::new(),
            chats: BTreeMap::new(),
            people: BTreeMap::new(),
            files: BTreeMap::new(),
            callbacks: BTreeMap::new(),
            flood: Flood::new(options.flood.clone()),
            faults: Faults::default(),
            ledger: Vec::new(),
            violations: Vec::new(),
            read: 0,
            serial: 0,
            options,
        }
    }

    /// A number that was never given before.
    pub(crate) fn serial(&mut self) -> i64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn note(&mut self, what: What) {
        let at = self.started.elapsed();
        self.ledger.push(Event { at, what });
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.note(What::Violation(what.clone()));
        self.violations.push(what);
    }

    pub(crate) fn chat(&self, chat: i64) -> &Chat {
        self.chats
            .get(&chat)
            .unwrap_or_else(|| panic!("no chat {chat} in this world"))
    }

    pub(crate) fn chat_mut(&mut self, chat: i64) -> &mut Chat {
        self.chats
            .get_mut(&chat)
            .unwrap_or_else(|| panic!("no chat {chat} in this world"))
    }

    pub(crate) fn bot(&mut self, bot: i64) -> &mut Bot {
        self.bots
            .get_mut(&bot)
            .unwrap_or_else(|| panic!("no bot {bot} in this world"))
    }

    pub(crate) fn bot_by_token(&self, token: &str) -> Option<i64> {
        self.bots
            .values()
            .find(|bot| bot.token == token)
            .map(|bot| bot.id)
    }

    pub(crate) fn open_chat(&mut self, chat: Chat) -> i64 {
        let id = chat.id;
        self.chats.entry(id).or_insert(chat);
        id
    }

    /// Puts a message into a chat and gives it the next id of the counter that counts there.
    pub(crate) fn place(&mut self, chat: i64, mut message: Message) -> i64 {
        let place = self.chat(chat);
        let counted_by = place.bots.keys().next().copied();
        let id = match (place.kind, counted_by) {
            (Kind::Supergroup, _) | (_, None) => {
                let place = self.chat_mut(chat);
                place.next_message += 1;
                place.next_message
            }
            (_, Some(bot)) => {
                let bot = self.bot(bot);
                bot.next_message += 1;
                bot.next_message
            }
        };
        message.id = id;
        message.date = now();
        self.chat_mut(chat).messages.insert(id, message);
        id
    }

    pub(crate) fn file(&mut self, prefix: &str, bytes: Vec<u8>) -> (String, String) {
        let number = self.serial();
        let id = format!("{prefix}-file-{number}");
        self.files.insert(id.clone(), bytes);
        (id, format!("unique{number}"))
    }

    // The shapes of the Bot API.

    pub(crate) fn user_json(&self, id: i64) -> Value {
        if let Some(bot) = self.bots.get(&id) {
            return json!({
                "id": id,
                "is_bot": true,
                "first_name": bot.username,
                "username": bot.username,
            });
        }
        let person = &self.people[&id];
        json!({
            "id": id,
            "is_bot": false,
            "first_name": person.name,
            "language_code": person.language,
        })
    }

    pub(crate) fn chat_json(&self, id: i64) -> Value {
        let chat = self.chat(id);
        match chat.kind {
            Kind::Private => json!({"id": id, "type": "private", "first_name": chat.title}),
            Kind::Group => json!({"id": id, "type": "group", "title": chat.title}),
            Kind::Supergroup if chat.forum => {
                json!({"id": id, "type": "supergroup", "title": chat.title, "is_forum": true})
            }
            Kind::Supergroup => json!({"id": id, "type": "supergroup", "title": chat.title}),
        }
    }

    pub(crate) fn message_json(&self, chat: i64, id: i64) -> Value {
        self.message_json_to(chat, id, true)
    }

    fn message_json_to(&self, chat_id: i64, id: i64, with_reply: bool) -> Value {
        let chat = self.chat(chat_id);
        let message = &chat.messages[&id];
        let mut json = json!({
            "message_id": id,
            "from": self.user_json(message.from),
            "chat": self.chat_json(chat_id),
            "date": message.date,
        });
        if let Some(date) = message.edit_date {
            json["edit_date"] = json!(date);
        }
        let (text, entities) = match &message.media {
            Some((field, media)) => {
                json[field] = media.clone();
                ("caption", "caption_entities")
            }
            None => ("text", "entities"),
        };
        if !message.styled.text.is_empty() {
            json[text] = json!(message.styled.text);
        }
        if !message.styled.entities.is_empty() {
            json[entities] = json!(message.styled.entities);
        }
        if let Some(album) = &message.album {
            json["media_group_id"] = json!(album);
        }
        if let Some((field, value)) = &message.service {
            json[field] = value.clone();
        }
        if let Some(thread) = message.thread {
            json["message_thread_id"] = json!(thread);
            if chat.forum {
                json["is_topic_message"] = json!(true);
            }
        }
        // In a topic, what replies to nothing replies to the message that opened the topic.
        let target = message.reply_to.or(message.thread.filter(|_| chat.forum));
        if with_reply
            && let Some(target) = target.filter(|target| *target != id)
            && chat
                .messages
                .get(&target)
                .is_some_and(|target| !target.deleted)
        {
            json["reply_to_message"] = self.message_json_to(chat_id, target, false);
        }
        if !message.buttons.is_empty() {
            let rows: Vec<Vec<Value>> = message
                .buttons
                .iter()
                .map(|row| {
                    let button = |b: &Button| json!({"text": b.label, "callback_data": b.data});
                    row.iter().map(button).collect()
                })
                .collect();
            json["reply_markup"] = json!({"inline_keyboard": rows});
        }
        json
    }
}

// === impl Message ===

impl Message {
    pub(crate) fn said(person: i64, text: &str) -> Self {
        let styled = Styled {
            text: text.to_owned(),
            entities: entities::found(text),
        };
        Self {
            from: person,
            styled,
            ..Self::default()
        }
    }
}

// === impl Chat ===

impl Chat {
    pub(crate) fn new(id: i64, kind: Kind, title: &str) -> Self {
        Self {
            id,
            kind,
            title: title.to_owned(),
            forum: false,
            bots: BTreeMap::new(),
            topics: BTreeMap::new(),
            messages: BTreeMap::new(),
            next_message: 0,
            migrated_to: None,
            draft: None,
        }
    }
}
