//! Ids with a type each, so that a chat can never be handed over where a turn is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any text as an id.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

text_id!(
    /// One bot identity on a platform, by its name in the config.
    AccountId
);
text_id!(
    /// A chat or channel as its platform numbers it.
    ChatId
);
text_id!(
    /// A thread or forum topic within a chat, as its platform numbers it.
    ThreadId
);
text_id!(
    /// A message as its platform numbers it; unique within its chat.
    PlatformMessageId
);
text_id!(
    /// A model by its name in the config.
    ModelName
);
text_id!(
    /// A persona by its name in the config.
    PersonaName
);

number_id!(
    /// A conversation in the store.
    ConversationId
);
number_id!(
    /// A message in the transcript; grows in the order of arrival.
    MessageId
);
number_id!(
    /// A turn in the store; grows in the order of arrival.
    TurnId
);
number_id!(
    /// A delivery in the outbox; grows in the order of placing.
    DeliveryId
);

/// Who wrote: an identity on one platform, written `telegram:123456`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonId {
    platform: Arc<str>,
    id: Arc<str>,
}

/// A text that does not have the form `platform:id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAPerson(pub String);

// === impl PersonId ===

impl PersonId {
    /// The person with this id on this platform.
    pub fn new(platform: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self {
            platform: platform.into(),
            id: id.into(),
        }
    }

    /// The platform's name.
    pub fn platform(&self) -> &str {
        &self.platform
    }

    /// The id the platform gave.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.platform, self.id)
    }
}

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonId({self})")
    }
}

impl FromStr for PersonId {
    type Err = NotAPerson;

    fn from_str(text: &str) -> Result<Self, NotAPerson> {
        match text.split_once(':') {
            Some((platform, id)) if !platform.is_empty() && !id.is_empty() => {
                Ok(Self::new(platform, id))
            }
            _ => Err(NotAPerson(text.to_owned())),
        }
    }
}

impl TryFrom<String> for PersonId {
    type Error = NotAPerson;

    fn try_from(text: String) -> Result<Self, NotAPerson> {
        text.parse()
    }
}

impl From<PersonId> for String {
    fn from(person: PersonId) -> Self {
        person.to_string()
    }
}

impl fmt::Display for NotAPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a person is written platform:id, not {:?}", self.0)
    }
}

impl std::error::Error for NotAPerson {}
