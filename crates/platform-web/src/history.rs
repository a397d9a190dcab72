//! What the page reads of earlier talk: a narrow trait that the composition root fulfils.

use async_trait::async_trait;
use tertulia_domain::{
    ChatId, Judgement, MessageId, MessageKind, PersonId, Timestamp, TurnId, TurnState,
};
use thiserror::Error;

/// Remembers what was said on the page.
///
/// Invariant: every question names the person, and an answer holds only what is that person's.
#[async_trait]
pub trait History: Send + Sync {
    /// The person's chats, latest first, at most `limit`.
    async fn conversations(
        &self,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<Listed>, HistoryError>;

    /// What was said in one chat of the person, oldest first: the latest `limit` before `before`.
    ///
    /// A chat that is not known, or not that person's, is empty.
    async fn messages(
        &self,
        person: &PersonId,
        chat: &ChatId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<Shown>, HistoryError>;
}

/// A chat in the person's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The chat, as it was in the place of the person's messages.
    pub chat: ChatId,
    /// What it is about: the beginning of its first prompt.
    pub title: String,
    /// When something was last said there.
    pub updated: Timestamp,
}

/// A message as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: MessageId,
    /// Whether we said it.
    pub ours: bool,
    /// What it is to the conversation.
    pub kind: MessageKind,
    /// The text, Markdown where it is ours.
    pub text: String,
    /// The turn that it asks for or answers.
    pub turn: Option<TurnId>,
    /// How far that turn is; the page waits for an answer while it has no end.
    pub state: Option<TurnState>,
    /// What the person thinks of it.
    pub judgement: Option<Judgement>,
    /// When it was said.
    pub at: Timestamp,
}

/// A history that cannot be read now.
#[derive(Debug, Error)]
#[error("cannot read the history now")]
pub struct HistoryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
