//! What people do: they write, edit, react, press, stop, block, kick and migrate.

use std::time::Instant;

use serde_json::{Value, json};

use super::TelegramServer;
use super::entities;
use super::ledger::{Button, What};
use super::methods::member_json;
use super::state::{Callback, Chat, Kind, Message, Person, Standing, State, Topic, now};

/// A message that a person is about to send; [`Post::send`] sends it.
#[must_use = "a post is only said by `send`"]
pub struct Post<'a> {
    server: &'a TelegramServer,
    chat: i64,
    message: Message,
    file: Option<(&'static str, String, Vec<u8>)>,
}

// Update classes that a webhook delivers independently of each other, as the server keys them.
const CALLBACKS: i64 = 3 << 33;
const MEMBERS: i64 = 5 << 33;
const REACTIONS: i64 = 8 << 33;
const DRAFTS: i64 = 11 << 33;

// === impl TelegramServer ===

impl TelegramServer {
    /// Adds a bot with privacy mode on and joins it to all chats there are.
    pub fn bot(&self, token: &str, username: &str) -> i64 {
        let id = token.split(':').next().and_then(|id| id.parse().ok());
        let id = id.expect("a token begins with the bot's id and a colon");
        self.core.with(|state| {
            state.add_bot(id, token, username);
            id
        })
    }

    /// Switches the group privacy mode of a bot.
    pub fn set_privacy(&self, bot: i64, on: bool) {
        self.core.with(|state| state.bot(bot).privacy = on);
    }

    /// Adds a person, with a private chat of the same id with the first bot.
    pub fn person(&self, id: i64, first_name: &str, language_code: &str) -> i64 {
        self.core.with(|state| {
            let (name, language) = (first_name.to_owned(), language_code.to_owned());
            state.people.insert(id, Person { name, language });
            let mut chat = Chat::new(id, Kind::Private, first_name);
            if let Some(bot) = state.bots.keys().next() {
                chat.bots.insert(*bot, Standing::Stranger);
            }
            state.open_chat(chat)
        })
    }

    /// Opens a basic group with the first bot in it.
    pub fn group(&self, title: &str) -> i64 {
        self.core.with(|state| {
            let id = -4_000_000 - state.serial();
            let mut chat = Chat::new(id, Kind::Group, title);
            chat.bots
                .extend(state.bots.keys().next().map(|bot| (*bot, Standing::Member)));
            state.open_chat(chat)
        })
    }

    /// Opens a supergroup with all bots in it.
    pub fn supergroup(&self, title: &str) -> i64 {
        self.core.with(|state| state.new_supergroup(title, false))
    }

    /// Opens a supergroup with topics with all bots in it.
    pub fn forum(&self, title: &str) -> i64 {
        self.core.with(|state| state.new_supergroup(title, true))
    }

    /// Opens a topic and returns its thread id.
    pub fn topic(&self, chat: i64, person: i64, name: &str) -> i64 {
        let icon = json!({"name": name, "icon_color": 7_322_096});
        self.core.with(|state| {
            let message = Message {
                from: person,
                service: Some(("forum_topic_created".into(), icon)),
                ..Message::default()
            };
            let id = state.place(chat, message);
            let place = state.chat_mut(chat);
            let opening = place.messages.get_mut(&id).expect("just placed");
            opening.thread = Some(id);
            place.topics.insert(
                id,
                Topic {
                    name: name.to_owned(),
                    closed: false,
                    deleted: false,
                },
            );
            state.announce(chat, id);
            id
        })
    }

    /// Closes a topic: only admins may write in it.
    pub fn close_topic(&self, chat: i64, person: i64, thread: i64) {
        self.core.with(|state| {
            let place = state.chat_mut(chat);
            place
                .topics
                .get_mut(&thread)
                .expect("a topic of this chat")
                .closed = true;
            let message = Message {
                from: person,
                thread: Some(thread),
                service: Some(("forum_topic_closed".into(), json!({}))),
                ..Message::default()
            };
            let id = state.place(chat, message);
            state.announce(chat, id);
        });
    }

    /// Deletes a topic with its messages; bots hear nothing of it.
    pub fn delete_topic(&self, chat: i64, thread: i64) {
        self.core.with(|state| {
            let place = state.chat_mut(chat);
            place
                .topics
                .get_mut(&thread)
                .expect("a topic of this chat")
                .deleted = true;
            for message in place
                .messages
                .values_mut()
                .filter(|m| m.thread == Some(thread))
            {
                message.deleted = true;
            }
        });
    }

    /// The name of a topic.
    pub fn topic_name(&self, chat: i64, thread: i64) -> String {
        self.core
            .peek(|state| state.chat(chat).topics[&thread].name.clone())
    }

    /// Says a text and returns the message's id.
    pub fn say(&self, chat: i64, person: i64, text: &str) -> i64 {
        self.post(chat, person, text).send()
    }

    /// Begins a message; its text becomes the caption when a file is added.
    pub fn post(&self, chat: i64, person: i64, text: &str) -> Post<'_> {
        Post {
            server: self,
            chat,
            message: Message::said(person, text),
            file: None,
        }
    }

    /// Edits a person's message.
    pub fn edit(&self, chat: i64, message: i64, text: &str) {
        self.core.with(|state| {
            let styled = Message::said(0, text).styled;
            let place = state.chat_mut(chat);
            let edited = place
                .messages
                .get_mut(&message)
                .expect("a message of this chat");
            let before = std::mem::replace(&mut edited.styled, styled);
            edited.history.push(before.text);
            edited.edit_date = Some(now());
            state.tell(chat, message, "edited_message");
        });
    }

    /// Deletes a person's message; bots hear nothing of it.
    pub fn delete(&self, chat: i64, message: i64) {
        self.core.with(|state| {
            let place = state.chat_mut(chat);
            place
                .messages
                .get_mut(&message)
                .expect("a message of this chat")
                .deleted = true;
        });
    }

    /// Changes a person's reaction; bots hear of it in private chats and where they are admins.
    pub fn react(&self, chat: i64, person: i64, message: i64, old: &[&str], new: &[&str]) {
        let list = |emoji: &[&str]| -> Vec<Value> {
            emoji
                .iter()
                .map(|emoji| json!({"type": "emoji", "emoji": emoji}))
                .collect()
        };
        self.core.with(|state| {
            let payload = json!({
                "chat": state.chat_json(chat),
                "message_id": message,
                "user": state.user_json(person),
                "date": now(),
                "old_reaction": list(old),
                "new_reaction": list(new),
            });
            for (bot, standing) in state.chat(chat).bots.clone() {
                let private = state.chat(chat).kind == Kind::Private;
                if standing == Standing::Admin || private && standing == Standing::Member {
                    state.queue(bot, chat + REACTIONS, "message_reaction", payload.clone());
                }
            }
        });
    }

    /// Presses the button with this label or data and returns the callback query's id.
    pub fn press(&self, chat: i64, person: i64, message: i64, label_or_data: &str) -> String {
        self.core.with(|state| {
            let id = format!("{}", 7_000_000 + state.serial());
            let under = state
                .chat(chat)
                .messages
                .get(&message)
                .expect("a message of this chat");
            let bot = under.from;
            let matches = |b: &&Button| b.label == label_or_data || b.data == label_or_data;
            let button = under.buttons.iter().flatten().find(matches);
            let Some(data) = button.map(|button| button.data.clone()) else {
                panic!("no button {label_or_data:?}, there are {:?}", under.buttons)
            };
            let payload = json!({
                "id": id,
                "from": state.user_json(person),
                "message": state.message_json(chat, message),
                "chat_instance": format!("{}", chat.unsigned_abs()),
                "data": data,
            });
            let callback = Callback {
                bot,
                at: Instant::now(),
                answer: None,
            };
            state.callbacks.insert(id.clone(), callback);
            state.queue(bot, person + CALLBACKS, "callback_query", payload);
            id
        })
    }

    /// Presses the stop button of the draft that a private chat shows.
    pub fn stop_draft(&self, chat: i64) {
        self.core.with(|state| {
            let draft = state
                .chat_mut(chat)
                .draft
                .clone()
                .expect("a draft is shown");
            assert!(draft.can_stop, "the draft has no stop button");
            let mut payload = json!({"chat": state.chat_json(chat), "draft_id": draft.id});
            if let Some(thread) = draft.thread {
                payload["message_thread_id"] = json!(thread);
            }
            for bot in state.chat(chat).bots.clone().into_keys() {
                state.queue(
                    bot,
                    chat + DRAFTS,
                    "stopped_message_generation",
                    payload.clone(),
                );
            }
        });
    }

    /// Upgrades a basic group to a supergroup and returns the new id.
    pub fn migrate(&self, group: i64, person: i64) -> i64 {
        self.core.with(|state| {
            let title = state.chat(group).title.clone();
            let new = state.new_supergroup(&title, false);
            let bots = state.chat(group).bots.clone();
            state.chat_mut(new).bots = bots;
            let service = |key: &str, id: i64| Message {
                from: person,
                service: Some((key.to_owned(), json!(id))),
                ..Message::default()
            };
            let away = state.place(group, service("migrate_to_chat_id", new));
            state.announce(group, away);
            state.chat_mut(group).migrated_to = Some(new);
            let here = state.place(new, service("migrate_from_chat_id", group));
            state.announce(new, here);
            new
        })
    }

    /// A person blocks the bot in their private chat.
    pub fn block(&self, person: i64) {
        self.core
            .with(|state| state.set_standing(person, person, Standing::Out));
    }

    /// A person unblocks the bot.
    pub fn unblock(&self, person: i64) {
        self.core
            .with(|state| state.set_standing(person, person, Standing::Member));
    }

    /// A person kicks the bots out of a group.
    pub fn kick(&self, chat: i64, person: i64) {
        self.core
            .with(|state| state.set_standing(chat, person, Standing::Out));
    }

    /// A person adds the bots to a group again.
    pub fn invite(&self, chat: i64, person: i64) {
        self.core
            .with(|state| state.set_standing(chat, person, Standing::Member));
    }

    /// A person makes the bots admins of a group; they hear everything there then.
    pub fn promote(&self, chat: i64, person: i64) {
        self.core
            .with(|state| state.set_standing(chat, person, Standing::Admin));
    }

    /// Removes a message without the bot's doing, as when a person deletes the bot's message.
    pub fn remove(&self, chat: i64, message: i64) {
        self.delete(chat, message);
    }
}

// === impl Post ===

impl Post<'_> {
    /// Replies to a message.
    pub fn reply_to(mut self, message: i64) -> Self {
        self.message.reply_to = Some(message);
        self
    }

    /// Stands in a topic.
    pub fn thread(mut self, thread: i64) -> Self {
        self.message.thread = Some(thread);
        self
    }

    /// Belongs to an album: messages with the same name were sent together.
    pub fn album(mut self, name: &str) -> Self {
        self.message.album = Some(name.to_owned());
        self
    }

    /// Adds an entity that Telegram does not find by itself.
    pub fn entity(mut self, entity: Value) -> Self {
        self.message.styled.entities.push(entity);
        self
    }

    /// Carries a photo.
    pub fn photo(mut self, bytes: &[u8]) -> Self {
        self.file = Some(("photo", String::new(), bytes.to_vec()));
        self
    }

    /// Carries a voice message.
    pub fn voice(mut self, bytes: &[u8]) -> Self {
        self.file = Some(("voice", String::new(), bytes.to_vec()));
        self
    }

    /// Carries a file.
    pub fn document(mut self, name: &str, bytes: &[u8]) -> Self {
        self.file = Some(("document", name.to_owned(), bytes.to_vec()));
        self
    }

    /// Carries any other field, such as a sticker or a location.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.message.media = Some((name.to_owned(), value));
        self
    }

    /// Sends it and returns its id.
    pub fn send(self) -> i64 {
        let Self {
            server,
            chat,
            mut message,
            file,
        } = self;
        server.core.with(|state| {
            message.media = file.map(|file| state.media(file)).or(message.media.take());
            state.people_write(chat, message)
        })
    }
}

// === impl State ===

impl State {
    pub(crate) fn add_bot(&mut self, id: i64, token: &str, username: &str) {
        use std::collections::{BTreeMap, BTreeSet, VecDeque};
        let first = self.bots.is_empty();
        let bot = super::state::Bot {
            id,
            token: token.to_owned(),
            username: username.to_owned(),
            privacy: true,
            queue: VecDeque::new(),
            // Real ids start anywhere; nothing may count on small ones.
            next_update: 845_000_000 + id % 1000,
            confirmed: BTreeSet::new(),
            allowed: None,
            poll: 0,
            hook: None,
            next_message: 0,
            commands: BTreeMap::new(),
        };
        self.bots.insert(id, bot);
        for chat in self.chats.values_mut() {
            match chat.kind {
                Kind::Supergroup => _ = chat.bots.insert(id, Standing::Member),
                Kind::Group if first => _ = chat.bots.insert(id, Standing::Member),
                Kind::Private if first => _ = chat.bots.insert(id, Standing::Stranger),
                _ => {}
            }
        }
    }

    pub(crate) fn new_supergroup(&mut self, title: &str, forum: bool) -> i64 {
        let id = -1_001_000_000_000 - self.serial();
        let mut chat = Chat::new(id, Kind::Supergroup, title);
        chat.forum = forum;
        // The general topic is opened by message 1.
        chat.next_message = i64::from(forum);
        chat.bots = self
            .bots
            .keys()
            .map(|bot| (*bot, Standing::Member))
            .collect();
        self.open_chat(chat)
    }

    fn media(&mut self, (kind, name, bytes): (&'static str, String, Vec<u8>)) -> (String, Value) {
        let size = bytes.len();
        let (id, unique) = self.file(kind, bytes);
        let mut file = json!({"file_id": id, "file_unique_id": unique, "file_size": size});
        let value = match kind {
            "photo" => {
                file["width"] = json!(640);
                file["height"] = json!(480);
                json!([file])
            }
            "voice" => {
                file["duration"] = json!(3);
                file["mime_type"] = json!("audio/ogg");
                file
            }
            _ => {
                file["file_name"] = json!(name);
                file["mime_type"] = json!("application/octet-stream");
                file
            }
        };
        (kind.to_owned(), value)
    }

    fn people_write(&mut self, chat: i64, mut message: Message) -> i64 {
        let place = self.chat_mut(chat);
        assert!(place.migrated_to.is_none(), "chat {chat} has moved");
        if place.kind == Kind::Private {
            // Who writes to a bot has started it.
            for standing in place.bots.values_mut() {
                if *standing == Standing::Stranger {
                    *standing = Standing::Member;
                }
            }
        } else if let Some(target) = message.reply_to
            && message.thread.is_none()
            && place.kind == Kind::Supergroup
        {
            // In a supergroup a chain of replies is a thread, named by its first message.
            let target = &place.messages[&target];
            message.thread = target.thread.or((!place.forum).then_some(target.id));
        }
        let id = self.place(chat, message);
        self.tell(chat, id, "message");
        id
    }

    /// Tells all bots of a chat about a service message; privacy does not hide those.
    fn announce(&mut self, chat: i64, message: i64) {
        self.tell(chat, message, "message");
    }

    fn tell(&mut self, chat: i64, message: i64, kind: &str) {
        for (bot, standing) in self.chat(chat).bots.clone() {
            let member = matches!(standing, Standing::Member | Standing::Admin);
            if member && self.hears(bot, standing, chat, message) {
                let payload = self.message_json(chat, message);
                self.queue(bot, chat, kind, payload);
            }
        }
    }

    /// Whether the privacy mode lets a message through to a bot.
    fn hears(&self, bot_id: i64, standing: Standing, chat: i64, message: i64) -> bool {
        let (bot, place) = (&self.bots[&bot_id], self.chat(chat));
        let message = &place.messages[&message];
        if place.kind == Kind::Private
            || !bot.privacy
            || standing == Standing::Admin
            || message.service.is_some()
        {
            return true;
        }
        let replied = message
            .reply_to
            .and_then(|target| place.messages.get(&target));
        if replied.is_some_and(|target| target.from == bot_id) {
            return true;
        }
        let me = format!("@{}", bot.username).to_lowercase();
        message.styled.entities.iter().any(|entity| {
            let piece = entities::covered(&message.styled.text, entity).to_lowercase();
            match entity["type"].as_str() {
                Some("mention") => piece == me,
                Some("bot_command") => !piece.contains('@') || piece.ends_with(&me),
                Some("text_mention") => entity["user"]["id"] == json!(bot_id),
                _ => false,
            }
        })
    }

    fn set_standing(&mut self, chat: i64, person: i64, new: Standing) {
        for (bot, old) in self.chat(chat).bots.clone() {
            if old == new {
                continue;
            }
            self.chat_mut(chat).bots.insert(bot, new);
            let payload = json!({
                "chat": self.chat_json(chat),
                "from": self.user_json(person),
                "date": now(),
                "old_chat_member": member_json(&self.user_json(bot), old),
                "new_chat_member": member_json(&self.user_json(bot), new),
            });
            self.queue(bot, chat + MEMBERS, "my_chat_member", payload);
        }
        self.note(What::Action {
            chat,
            thread: None,
            action: format!("standing {new:?}"),
        });
    }
}
