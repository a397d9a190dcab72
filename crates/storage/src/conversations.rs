//! Conversations, their transcripts and their summaries.

use async_trait::async_trait;
use tertulia_domain::{
    AccountId, ChatId, ConversationId, ConversationKey, Judgement, Message, MessageId, MessageKind,
    ModelName, PersonId, PersonaName, Timestamp, TurnId,
};

use crate::error::StorageError;

/// Keeps conversations.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// The conversation.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StorageError>;

    /// The context of a turn: prompts, asides and replies that count, anchored after `after` and
    /// not behind the turn's own prompt, in the order of the talk; the latest `limit` of them.
    ///
    /// With `subject` naming an earlier turn (one that is tried again), as it was for that turn:
    /// replies to it are left out.
    async fn context(
        &self,
        conversation: ConversationId,
        subject: TurnId,
        after: MessageId,
        limit: u32,
    ) -> Result<Vec<Anchored>, StorageError>;

    /// Begins anew: nothing up to this message is context any more.
    async fn start_afresh(
        &self,
        conversation: ConversationId,
        after: MessageId,
    ) -> Result<(), StorageError>;

    /// Moves the start of the window: nothing anchored up to this message is sent as it stands.
    async fn set_window(
        &self,
        conversation: ConversationId,
        after: MessageId,
    ) -> Result<(), StorageError>;

    /// Takes a chat turn's prompt and replies out of the context; whether there were any.
    async fn undo_turn(&self, turn: TurnId) -> Result<bool, StorageError>;

    /// Adds a summary of everything anchored up to `upto`.
    async fn add_summary(
        &self,
        conversation: ConversationId,
        upto: MessageId,
        text: &str,
        now: Timestamp,
    ) -> Result<(), StorageError>;

    /// Takes the latest summary back, and the window to where it was before; whether there was one.
    async fn undo_summary(
        &self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<bool, StorageError>;

    /// Sets the persona of the conversation; none for the account's.
    async fn set_persona(
        &self,
        conversation: ConversationId,
        persona: Option<&PersonaName>,
    ) -> Result<(), StorageError>;

    /// Sets the model that the conversation prefers; none for the persona's.
    async fn set_model(
        &self,
        conversation: ConversationId,
        model: Option<&ModelName>,
    ) -> Result<(), StorageError>;

    /// The private chats of a person on an account, latest first.
    async fn chats_of(
        &self,
        account: &AccountId,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<ListedChat>, StorageError>;

    /// The messages of a person's private chat as it is shown, oldest first: the latest `limit`
    /// before `before`. Empty for a chat that is not that person's.
    async fn shown(
        &self,
        account: &AccountId,
        person: &PersonId,
        chat: &ChatId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<ShownMessage>, StorageError>;

    /// Erases what was said before a moment, except what waits for an answer; how many messages.
    async fn prune_messages(&self, before: Timestamp) -> Result<u64, StorageError>;
}

/// A conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// What it spans.
    pub key: ConversationKey,
    /// Whether it is a talk between two.
    pub private: bool,
    /// The persona chosen for it.
    pub persona: Option<PersonaName>,
    /// The model chosen for it.
    pub model: Option<ModelName>,
    /// The context begins after this anchor: the latest of begun afresh, window and summary.
    pub window_after: MessageId,
    /// What stands for the part before the window.
    pub summary: Option<Summary>,
}

/// A summary: a view of the transcript's past that can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Everything anchored up to here is covered.
    pub upto: MessageId,
    /// The text.
    pub text: String,
}

/// A message of the context and where it is anchored.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchored {
    /// The anchor.
    pub anchor: MessageId,
    /// The message.
    pub message: Message,
}

/// A chat in a person's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedChat {
    /// The chat.
    pub chat: ChatId,
    /// What it was about first: the beginning of its first prompt, at most 200 characters.
    pub title: String,
    /// When something was last said.
    pub updated: Timestamp,
}

/// A message as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownMessage {
    /// Its id.
    pub id: MessageId,
    /// The turn.
    pub turn: Option<TurnId>,
    /// What it is to the conversation.
    pub kind: MessageKind,
    /// The text.
    pub text: String,
    /// The turn's state by name.
    pub turn_state: Option<tertulia_domain::TurnState>,
    /// What this person thinks of it.
    pub judgement: Option<Judgement>,
    /// When it was said.
    pub at: Timestamp,
}
