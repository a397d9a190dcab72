//! What can change while the service runs: one immutable snapshot at a time.
//!
//! Invariant: a turn holds the snapshot it began with to its end, so a reload never mixes two
//! (promise G4).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tertulia_domain::{AccountId, ModelName, Money, PersonId, PersonaName, Scope};
use tertulia_inference::{Generator, Sampling};

/// A snapshot of everything that can change while the service runs.
pub struct Settings {
    /// Counts the snapshots, from 1.
    pub version: u64,
    /// Personas by name.
    pub personas: HashMap<PersonaName, Arc<Persona>>,
    /// Models by name.
    pub models: HashMap<ModelName, Model>,
    /// Accounts by name.
    pub accounts: HashMap<AccountId, Account>,
    /// What people and chats may spend.
    pub limits: Limits,
    /// Who may give the commands of admins.
    pub admins: HashSet<PersonId>,
}

/// A model that can be asked, and its price.
#[derive(Clone)]
pub struct Model {
    /// The model.
    pub generator: Arc<dyn Generator>,
    /// Its price; none if it costs nothing.
    pub price: Option<Price>,
}

/// A price per million tokens, in the budget currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// For tokens of the prompt.
    pub input: f64,
    /// For tokens of the answer.
    pub output: f64,
}

/// Who speaks, with which models.
#[derive(Clone, Debug, PartialEq)]
pub struct Persona {
    /// Its name.
    pub name: PersonaName,
    /// What it is told.
    pub prompt: String,
    /// Models in order of preference.
    pub models: Vec<ModelName>,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// How much of the past is sent along.
    pub history: History,
}

/// How much of the past is sent along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The most tokens of a prompt.
    pub tokens: usize,
    /// Whether what no longer fits is summarized.
    pub summarize: bool,
}

/// How an account behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The persona that speaks, unless the conversation chose another.
    pub persona: PersonaName,
    /// What is answered in groups.
    pub answer: AnswerTo,
    /// What a conversation spans in groups.
    pub scope: Scope,
    /// Who may write, where.
    pub admission: Admission,
    /// Where answers carry buttons.
    pub buttons: Buttons,
}

/// What is answered in groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent switches of the config"
)]
pub struct AnswerTo {
    /// Messages that mention us.
    pub mention: bool,
    /// Replies to a message of ours.
    pub reply: bool,
    /// Chat commands.
    pub command: bool,
    /// Everything.
    pub all: bool,
}

/// Where answers carry buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buttons {
    /// In talks between two.
    pub private: bool,
    /// In groups.
    pub groups: bool,
}

/// Who may write, where: ids, `@names` or `*`; denial wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// People who may.
    pub allow_people: Vec<String>,
    /// Chats in which people may.
    pub allow_chats: Vec<String>,
    /// People who may not.
    pub deny_people: Vec<String>,
    /// Chats in which nobody may.
    pub deny_chats: Vec<String>,
}

/// What people and chats may spend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Each person.
    pub per_person: Allowance,
    /// Each chat.
    pub per_chat: Allowance,
}

/// What may be spent in a while; none for as much as one likes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Messages.
    pub messages: Option<Rate<u64>>,
    /// Tokens.
    pub tokens: Option<Rate<u64>>,
    /// Money.
    pub money: Option<Rate<Money>>,
}

/// An amount in a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate<T> {
    /// The amount.
    pub amount: T,
    /// The while.
    pub per: Duration,
}

// === impl Account ===

impl Account {
    /// An account that has only talks between two, open to whoever reaches it.
    pub fn for_talks(persona: impl Into<PersonaName>, buttons: bool) -> Self {
        Self {
            persona: persona.into(),
            answer: AnswerTo {
                mention: true,
                reply: true,
                command: true,
                all: true,
            },
            scope: Scope::Thread,
            admission: Admission::open(),
            buttons: Buttons {
                private: buttons,
                groups: false,
            },
        }
    }
}

// === impl Admission ===

impl Admission {
    /// Everybody everywhere.
    pub fn open() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            allow_people: all(),
            allow_chats: all(),
            ..Self::default()
        }
    }

    /// Whether this person may write in this chat.
    ///
    /// People are matched by `platform:id`, by bare id and by `@name`, chats by id and `@name`.
    pub fn admits(
        &self,
        person: &PersonId,
        handle: Option<&str>,
        chat: &str,
        chat_handle: Option<&str>,
    ) -> bool {
        let person_is = |entry: &String| {
            entry == "*"
                || *entry == person.id()
                || *entry == person.to_string()
                || names(entry, handle)
        };
        let chat_is = |entry: &String| entry == "*" || entry == chat || names(entry, chat_handle);
        self.allow_people.iter().any(person_is)
            && self.allow_chats.iter().any(chat_is)
            && !self.deny_people.iter().any(person_is)
            && !self.deny_chats.iter().any(chat_is)
    }
}

fn names(entry: &str, handle: Option<&str>) -> bool {
    match (entry.strip_prefix('@'), handle) {
        (Some(name), Some(handle)) => name.eq_ignore_ascii_case(handle),
        _ => false,
    }
}

// === impl Settings ===

impl Settings {
    /// Whether this person may give the commands of admins.
    pub fn is_admin(&self, person: &PersonId) -> bool {
        self.admins.contains(person)
    }

    /// The persona by this name, else the account's, else any: a reload may have removed one that
    /// a conversation chose.
    pub fn persona(
        &self,
        chosen: Option<&PersonaName>,
        account: &AccountId,
    ) -> Option<Arc<Persona>> {
        chosen
            .and_then(|name| self.personas.get(name))
            .or_else(|| self.personas.get(&self.accounts.get(account)?.persona))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denial_wins_and_nothing_is_admitted_that_is_not_named() {
        let anna = PersonId::new("telegram", "1");
        let may = |allow: &[&str], deny: &[&str]| {
            let list = |entries: &[&str]| entries.iter().map(|&e| e.to_owned()).collect();
            Admission {
                allow_people: list(allow),
                deny_people: list(deny),
                allow_chats: list(&["*"]),
                deny_chats: list(&["-100", "@Closed"]),
            }
            .admits(&anna, Some("Anna"), "7", None)
        };
        assert!(may(&["*"], &[]));
        assert!(may(&["1"], &[]));
        assert!(may(&["telegram:1"], &[]));
        assert!(may(&["@anna"], &[]));
        assert!(!may(&[], &[]));
        assert!(!may(&["2", "@ben", "anna", "discord:1"], &[]));
        assert!(!may(&["*"], &["@ANNA"]));
        let closed = Admission {
            deny_chats: vec!["@closed".into()],
            ..Admission::open()
        };
        assert!(!closed.admits(&anna, None, "-5", Some("Closed")));
        assert!(closed.admits(&anna, None, "-5", None));
    }
}
