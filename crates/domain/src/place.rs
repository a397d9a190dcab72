//! Where a message stands, and which conversation that makes it part of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, ChatId, PersonId, ThreadId};

/// Where a message stands: account, chat or channel, thread or topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The account that hears and speaks there.
    pub account: AccountId,
    /// The chat or channel.
    pub chat: ChatId,
    /// The thread or topic, where the chat has them.
    pub thread: Option<ThreadId>,
}

/// What one conversation spans in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each person has a conversation of their own in each thread.
    Person,
    /// Everybody in a thread shares one conversation.
    #[default]
    Thread,
    /// Everybody in a chat shares one, across its threads.
    Chat,
}

/// The unit of context: a place, and the person when the scope says so.
///
/// Invariant: every query for transcript, turns or summaries goes through the conversation that
/// this key names, so texts of two keys never meet (promise G10).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConversationKey {
    /// The place; without thread when the scope is the whole chat.
    pub place: Place,
    /// The person, when the scope is the person.
    pub person: Option<PersonId>,
}

// === impl ConversationKey ===

impl ConversationKey {
    /// The conversation that a message of `person` at `place` belongs to.
    pub fn new(place: Place, person: &PersonId, scope: Scope) -> Self {
        match scope {
            Scope::Person => Self {
                place,
                person: Some(person.clone()),
            },
            Scope::Thread => Self {
                place,
                person: None,
            },
            Scope::Chat => Self {
                place: Place {
                    thread: None,
                    ..place
                },
                person: None,
            },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.chat)?;
        if let Some(thread) = &self.thread {
            write!(f, "/{thread}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_decides_who_shares_a_conversation() {
        let place = |thread: Option<&str>| Place {
            account: "telegram".into(),
            chat: "-100".into(),
            thread: thread.map(Into::into),
        };
        let (anna, ben) = (
            PersonId::new("telegram", "1"),
            PersonId::new("telegram", "2"),
        );
        let key = |thread, person, scope| ConversationKey::new(place(thread), person, scope);

        assert_ne!(
            key(None, &anna, Scope::Person),
            key(None, &ben, Scope::Person)
        );
        assert_eq!(
            key(None, &anna, Scope::Thread),
            key(None, &ben, Scope::Thread)
        );
        assert_ne!(
            key(Some("7"), &anna, Scope::Thread),
            key(None, &anna, Scope::Thread)
        );
        assert_eq!(
            key(Some("7"), &anna, Scope::Chat),
            key(None, &ben, Scope::Chat)
        );
    }
}
