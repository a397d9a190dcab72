//! What happened, in order, and what people see now.

use std::time::Duration;

use serde_json::Value;

use super::state::State;

/// One thing that happened, with the time since the server started.
#[derive(Clone, Debug)]
pub struct Event {
    /// Time since the server started.
    pub at: Duration,
    /// What happened.
    pub what: What,
}

/// The kinds of things that happen.
#[derive(Clone, Debug)]
pub enum What {
    /// An update was queued for a bot.
    Queued {
        /// The bot's id.
        bot: i64,
        /// The update as it will be delivered.
        update: Value,
    },
    /// An update was confirmed by an offset or by a 2xx of the webhook; it is forgotten now.
    Confirmed {
        /// The bot's id.
        bot: i64,
        /// The update's id.
        update_id: i64,
    },
    /// A method call was answered, or would have been had no fault eaten the answer.
    Call {
        /// The bot's id.
        bot: i64,
        /// The method in lower case.
        method: String,
        /// Its parameters.
        params: Value,
        /// The HTTP status.
        code: u16,
        /// The description of a refusal.
        description: Option<String>,
    },
    /// A bot's message appeared.
    Sent {
        /// The chat.
        chat: i64,
        /// The message.
        message: i64,
    },
    /// A bot's message changed its text or its buttons.
    Edited {
        /// The chat.
        chat: i64,
        /// The message.
        message: i64,
        /// The text after the edit.
        text: String,
    },
    /// A message was deleted by a bot.
    Deleted {
        /// The chat.
        chat: i64,
        /// The message.
        message: i64,
    },
    /// A person saw a draft.
    Draft {
        /// The chat.
        chat: i64,
        /// The draft.
        draft: i64,
        /// Its text; empty means "Thinking…".
        text: String,
    },
    /// A person saw an action such as `typing`.
    Action {
        /// The chat.
        chat: i64,
        /// The topic, when one was named.
        thread: Option<i64>,
        /// The action.
        action: String,
    },
    /// A callback query was answered.
    CallbackAnswered {
        /// The query's id.
        id: String,
        /// The text shown, if any.
        text: Option<String>,
    },
    /// A webhook request was answered.
    Webhook {
        /// The update's id.
        update_id: i64,
        /// The status, or none when the connection failed.
        status: Option<u16>,
    },
    /// A fault was injected into a call.
    Fault {
        /// The method in lower case.
        method: String,
        /// The fault.
        fault: super::Fault,
    },
    /// The bot broke a rule.
    Violation(String),
}

/// A button under a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// Its callback data; empty for a link.
    pub data: String,
}

/// A message as a person sees it now.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The message's id.
    pub id: i64,
    /// Whether a bot wrote it.
    pub from_bot: bool,
    /// Who wrote it.
    pub author: i64,
    /// Its text or caption.
    pub text: String,
    /// The entities of the text.
    pub entities: Vec<Value>,
    /// The buttons in reading order.
    pub buttons: Vec<Button>,
    /// The message it replies to.
    pub reply_to: Option<i64>,
    /// The topic it stands in.
    pub thread: Option<i64>,
    /// Earlier texts, oldest first.
    pub history: Vec<String>,
    /// How often it was edited.
    pub edits: usize,
    /// The file name of a document.
    pub document: Option<String>,
    /// Reactions of bots.
    pub bot_reactions: Vec<String>,
}

/// A draft as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its id.
    pub id: i64,
    /// Its text; empty means "Thinking…".
    pub text: String,
    /// Whether a stop button is shown.
    pub can_stop: bool,
    /// The topic it stands in.
    pub thread: Option<i64>,
}

/// A look at the server's state, for conditions to wait on.
pub struct View<'a>(pub(crate) &'a State);

impl View<'_> {
    /// The messages of a chat as a person sees them now, oldest first.
    pub fn shown(&self, chat: i64) -> Vec<Shown> {
        let Some(chat) = self.0.chats.get(&chat) else {
            return Vec::new();
        };
        chat.messages
            .values()
            .filter(|message| !message.deleted && message.service.is_none())
            .map(|message| Shown {
                id: message.id,
                from_bot: message.from_bot,
                author: message.from,
                text: message.styled.text.clone(),
                entities: message.styled.entities.clone(),
                buttons: message.buttons.iter().flatten().cloned().collect(),
                reply_to: message.reply_to,
                thread: message.thread,
                history: message.history.clone(),
                edits: message.history.len(),
                document: message
                    .media
                    .as_ref()
                    .and_then(|(_, media)| media["file_name"].as_str().map(str::to_owned)),
                bot_reactions: message.bot_reactions.clone(),
            })
            .collect()
    }

    /// The bots' messages of a chat as a person sees them now, oldest first.
    pub fn replies(&self, chat: i64) -> Vec<Shown> {
        self.shown(chat)
            .into_iter()
            .filter(|shown| shown.from_bot)
            .collect()
    }

    /// The draft that a person sees in a private chat.
    pub fn draft(&self, chat: i64) -> Option<Draft> {
        self.0.chats.get(&chat).and_then(|chat| chat.draft.clone())
    }

    /// Everything that happened, in order.
    pub fn ledger(&self) -> &[Event] {
        &self.0.ledger
    }

    /// The calls of one method: parameters and status, in order.
    pub fn calls(&self, method: &str) -> Vec<(Value, u16)> {
        let wanted = method.to_lowercase();
        self.0
            .ledger
            .iter()
            .filter_map(|event| match &event.what {
                What::Call {
                    method,
                    params,
                    code,
                    ..
                } if *method == wanted => Some((params.clone(), *code)),
                _ => None,
            })
            .collect()
    }

    /// How many updates no bot has confirmed yet.
    pub fn unconfirmed(&self) -> usize {
        self.0.bots.values().map(|bot| bot.queue.len()).sum()
    }

    /// Whether an update was delivered and confirmed.
    pub fn confirmed(&self, update_id: i64) -> bool {
        self.0
            .bots
            .values()
            .any(|bot| bot.confirmed.contains(&update_id))
    }

    /// Callback queries whose spinner still turns.
    pub fn unanswered_callbacks(&self) -> Vec<String> {
        let open = self
            .0
            .callbacks
            .iter()
            .filter(|(_, callback)| callback.answer.is_none());
        open.map(|(id, _)| id.clone()).collect()
    }

    /// The answer to a callback query: the text shown, empty for none.
    pub fn callback_answer(&self, id: &str) -> Option<String> {
        self.0
            .callbacks
            .get(id)
            .and_then(|callback| callback.answer.clone())
    }

    /// The rules broken so far.
    pub fn violations(&self) -> &[String] {
        &self.0.violations
    }

    /// The command list that was set for a scope and a language, as JSON.
    pub fn commands(&self) -> Vec<(String, Value)> {
        let bots = self.0.bots.values();
        bots.flat_map(|bot| bot.commands.iter().map(|(k, v)| (k.clone(), v.clone())))
            .collect()
    }
}
