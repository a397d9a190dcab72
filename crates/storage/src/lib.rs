//! The seam of the store: narrow traits in plain data.
//!
//! A store keeps what must outlive the process.
//! Time and decisions come in as arguments; a store never asks why.
//! Absence is `Option`; an error answers one question: is it worth trying again.
//!
//! # The order of a transcript
//!
//! Messages arrive while an answer is being made, so the order of arrival is not the order of the
//! talk. Each message therefore has an *anchor*: the id of the first message of its turn, or its
//! own id when it was merely overheard. Ordered by (anchor, id) a reply stands right behind what
//! it answers, and what stands there never moves again, which keeps prompts stable.
//!
//! # To add a store
//!
//! Implement the traits below, and run `contract` (feature `testing`) against it.

mod accept;
mod conversations;
mod error;
mod inbox;
mod outbox;
mod people;
mod turns;

#[cfg(feature = "testing")]
pub mod contract;

pub use accept::{Accepted, Arrival, Effect, Judged, JudgedBy, NewMessage, NewPrompt};
pub use conversations::{Anchored, Conversation, Conversations, ListedChat, ShownMessage, Summary};
pub use error::StorageError;
pub use inbox::Inbox;
pub use outbox::{NewDelivery, Outbox, PlaceState, Whereabouts};
pub use people::{People, Spent};
pub use turns::{Counts, Next, Outcome, Turns};

/// A whole store.
pub trait Storage: Inbox + Conversations + Turns + Outbox + People {}

impl<T: Inbox + Conversations + Turns + Outbox + People> Storage for T {}
