//! A talk with a store: people speak, we answer, time goes by.

use tertulia_domain::{
    AccountId, Ask, ChatId, Command, ConversationId, ConversationKey, Delivery, Judgement,
    Language, MessageId, MessageKind, Money, PersonId, Place, PlatformMessageId, Scope, Styled,
    Timestamp, Turn, TurnEnd, TurnId, Usage,
};

use crate::{
    Accepted, Arrival, Effect, Judged, JudgedBy, NewDelivery, NewMessage, NewPrompt, Next, Outcome,
    Storage,
};

/// A talk with a store. Every word takes a second.
pub struct Scene<'s> {
    /// The store that is looked at.
    pub store: &'s dyn Storage,
    /// The present moment.
    pub now: Timestamp,
    heard: i64,
}

// === impl Scene ===

impl<'s> Scene<'s> {
    /// The account of every scene.
    pub const ACCOUNT: &'static str = "tg";

    /// Begins at some moment.
    pub fn new(store: &'s dyn Storage) -> Self {
        Self {
            store,
            now: Timestamp::from_secs(1_800_000_000),
            heard: 0,
        }
    }

    /// The person with this name.
    pub fn person(name: &str) -> PersonId {
        PersonId::new("telegram", name)
    }

    /// The account.
    pub fn account() -> AccountId {
        Self::ACCOUNT.into()
    }

    /// A chat without threads.
    pub fn place(chat: &str) -> Place {
        Place {
            account: Self::account(),
            chat: chat.into(),
            thread: None,
        }
    }

    /// The conversation of everybody in a chat.
    pub fn key(chat: &str) -> ConversationKey {
        ConversationKey::new(Self::place(chat), &Self::person("any"), Scope::Thread)
    }

    /// Lets this many seconds pass.
    pub fn wait(&mut self, seconds: u64) -> Timestamp {
        self.now = self.now.after(std::time::Duration::from_secs(seconds));
        self.now
    }

    /// The id that the platform gave the latest message.
    pub fn latest(&self) -> PlatformMessageId {
        self.heard.to_string().as_str().into()
    }

    /// A message as it comes in; private chats are named `@somebody`.
    pub fn message(&mut self, kind: MessageKind, person: &str, text: &str) -> NewMessage {
        self.heard += 1;
        NewMessage {
            kind,
            person: Some(Self::person(person)),
            name: Some(person.to_owned()),
            text: text.to_owned(),
            attachments: Vec::new(),
            platform_id: Some(self.latest()),
            at: self.now,
        }
    }

    /// A prompt that can be begun at once.
    pub fn prompt(&mut self, chat: &str, person: &str, text: &str) -> NewPrompt {
        let message = self.message(MessageKind::Prompt, person, text);
        NewPrompt {
            key: Self::key(chat),
            place: Self::place(chat),
            private: chat.starts_with('@'),
            person: Self::person(person),
            name: person.to_owned(),
            handle: Some(person.to_lowercase()),
            language: Language::English,
            ask: Ask::Chat,
            reply_to: message.platform_id.clone(),
            message: Some(message),
            ready_at: self.now,
            open_max: 100,
        }
    }

    /// A chat command.
    pub fn command(&mut self, chat: &str, person: &str, name: &str, rest: &str) -> NewPrompt {
        let message = self.message(MessageKind::Command, person, &format!("/{name} {rest}"));
        NewPrompt {
            ask: Ask::Command(Command {
                name: name.to_owned(),
                rest: rest.to_owned(),
            }),
            message: Some(message),
            ..self.prompt(chat, person, "")
        }
    }

    /// An update of its own with these effects.
    pub fn arrival(&mut self, person: &str, effects: Vec<Effect>) -> Arrival {
        self.wait(1);
        self.heard += 1;
        Arrival {
            account: Self::account(),
            key: format!("u{}", self.heard),
            raw: format!("{{\"raw of {person}\":{}}}", self.heard),
            person: Some(Self::person(person)),
            at: self.now,
            effects,
        }
    }

    /// Takes an update in.
    pub async fn hear(&mut self, person: &str, effects: Vec<Effect>) -> Accepted {
        let arrival = self.arrival(person, effects);
        self.store.accept(&[arrival]).await.expect("accepted")
    }

    /// Somebody asks; the conversation.
    pub async fn say(&mut self, chat: &str, person: &str, text: &str) -> ConversationId {
        let prompt = self.prompt(chat, person, text);
        self.send(prompt).await
    }

    /// A prompt comes in; the conversation.
    pub async fn send(&mut self, prompt: NewPrompt) -> ConversationId {
        let person = prompt.person.id().to_owned();
        let accepted = self
            .hear(&person, vec![Effect::Prompt(Box::new(prompt))])
            .await;
        *accepted
            .woken
            .first()
            .expect("a prompt wakes its conversation")
    }

    /// Somebody says something to others.
    pub async fn aside(&mut self, chat: &str, person: &str, text: &str) {
        let message = self.message(MessageKind::Aside, person, text);
        let effect = Effect::Aside {
            key: Self::key(chat),
            private: false,
            message,
        };
        self.hear(person, vec![effect]).await;
    }

    /// A reply is judged.
    pub async fn judge(&mut self, chat: &str, person: &str, by: JudgedBy, judgement: Judgement) {
        let judged = Judged {
            account: Self::account(),
            chat: chat.into(),
            by,
            person: Self::person(person),
            judgement,
            source: "button".to_owned(),
        };
        self.hear(person, vec![Effect::Judged(judged)]).await;
    }

    /// Takes the next turn, which must be there.
    pub async fn take(&mut self, conversation: ConversationId) -> Turn {
        let now = self.wait(1);
        match self.store.take(conversation, now).await.expect("taken") {
            Next::Turn(turn) => *turn,
            other => panic!("a turn waits, not {other:?}"),
        }
    }

    /// Somebody asks and the turn is taken.
    pub async fn ask(&mut self, chat: &str, person: &str, text: &str) -> Turn {
        let conversation = self.say(chat, person, text).await;
        self.take(conversation).await
    }

    /// What ends this turn with a reply in one part, for 10 tokens.
    pub fn reply(&mut self, turn: &Turn, text: &str) -> Outcome {
        let at = self.wait(1);
        Outcome {
            end: TurnEnd::Answered,
            said: Some(NewMessage {
                kind: MessageKind::Reply,
                person: None,
                name: None,
                text: text.to_owned(),
                attachments: Vec::new(),
                platform_id: None,
                at,
            }),
            subject: turn.id,
            deliveries: vec![Self::part(turn, 0, text)],
            usage: vec![Usage {
                turn: turn.id,
                conversation: turn.conversation,
                person: turn.person.clone(),
                model: "small".into(),
                prompt_tokens: 7,
                cached_tokens: 2,
                reply_tokens: 3,
                cost: Money(5),
                at,
            }],
            at,
        }
    }

    /// What ends this turn with a fixed text.
    pub fn notice(&mut self, turn: &Turn, end: TurnEnd, text: &str) -> Outcome {
        let mut outcome = self.reply(turn, text);
        outcome.end = end;
        outcome.usage.clear();
        if let Some(said) = &mut outcome.said {
            said.kind = MessageKind::Notice;
        }
        outcome
    }

    /// A part to place.
    pub fn part(turn: &Turn, part: u32, text: &str) -> NewDelivery {
        NewDelivery {
            part,
            place: turn.place.clone(),
            reply_to: turn.reply_to.clone(),
            content: Styled::plain(text),
            buttons: Vec::new(),
        }
    }

    /// Ends the turn.
    pub async fn finish(&self, turn: TurnId, outcome: &Outcome) -> Vec<Delivery> {
        let ended = self.store.finish(turn, outcome).await.expect("finished");
        ended.expect("the turn had no end before")
    }

    /// Somebody asks and we answer.
    pub async fn talk(&mut self, chat: &str, person: &str, text: &str, reply: &str) -> Turn {
        let turn = self.ask(chat, person, text).await;
        let outcome = self.reply(&turn, reply);
        self.finish(turn.id, &outcome).await;
        turn
    }

    /// The context of a turn as text, from the start.
    pub async fn context(&self, conversation: ConversationId, subject: TurnId) -> Vec<String> {
        self.context_after(conversation, subject, MessageId(0), 100)
            .await
    }

    /// The context of a turn as text.
    pub async fn context_after(
        &self,
        conversation: ConversationId,
        subject: TurnId,
        after: MessageId,
        limit: u32,
    ) -> Vec<String> {
        self.store
            .context(conversation, subject, after, limit)
            .await
            .expect("a context")
            .into_iter()
            .map(|anchored| {
                assert_eq!(anchored.message.conversation, conversation);
                let name = anchored.message.name.as_deref().unwrap_or("us");
                format!("{name}: {}", anchored.message.text)
            })
            .collect()
    }

    /// The id of the first message of a turn.
    pub async fn first_message(&self, turn: TurnId) -> MessageId {
        let asked = self.store.asked(turn).await.expect("asked");
        asked.first().expect("a turn with a message").id
    }

    /// The chat with this name.
    pub fn chat(name: &str) -> ChatId {
        name.into()
    }
}
