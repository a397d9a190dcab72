//! Turns: taken in the order of arrival, each with exactly one end.

use async_trait::async_trait;
use tertulia_domain::{ConversationId, Delivery, Message, Timestamp, Turn, TurnEnd, TurnId, Usage};

use crate::accept::NewMessage;
use crate::error::StorageError;
use crate::outbox::NewDelivery;

/// Keeps turns.
#[async_trait]
pub trait Turns: Send + Sync {
    /// Conversations with a turn that has no end, or a delivery that is not settled.
    async fn unfinished(&self) -> Result<Vec<ConversationId>, StorageError>;

    /// Takes the oldest turn without end: marks it running and counts the attempt.
    ///
    /// A turn that is running already was left by a process that died: it is taken up again.
    /// The caller sees to it that one conversation is served by one lane.
    async fn take(
        &self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<Next, StorageError>;

    /// Gives a running turn back as it was before it was taken, uncounted.
    async fn give_back(&self, turn: TurnId) -> Result<(), StorageError>;

    /// The turn.
    async fn turn(&self, turn: TurnId) -> Result<Option<Turn>, StorageError>;

    /// What was said for the turn (prompts or command), in order.
    async fn asked(&self, turn: TurnId) -> Result<Vec<Message>, StorageError>;

    /// The latest ended chat turn of the conversation before the turn `before` that can be answered
    /// again: its prompt still counts as context, or it failed.
    async fn last_chat(
        &self,
        conversation: ConversationId,
        before: TurnId,
    ) -> Result<Option<TurnId>, StorageError>;

    /// Whether an earlier turn of the same conversation was stopped and ended (as cancelled) after
    /// this turn had arrived: what a stop command answers by.
    async fn stopped_by(&self, turn: TurnId) -> Result<bool, StorageError>;

    /// Ends a turn: its end, what we said, the deliveries and the usage, in one transaction.
    ///
    /// Returns the deliveries that now wait. A turn that has its end keeps it: then nothing
    /// happens and the result is `None`.
    async fn finish(
        &self,
        turn: TurnId,
        outcome: &Outcome,
    ) -> Result<Option<Vec<Delivery>>, StorageError>;

    /// How much is open.
    async fn counts(&self) -> Result<Counts, StorageError>;
}

/// What a lane does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This turn, now running.
    Turn(Box<Turn>),
    /// Nothing before this moment.
    NotBefore(Timestamp),
    /// Nothing.
    Idle,
}

/// How a turn ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Its end.
    pub end: TurnEnd,
    /// What we said; with kind `reply` it becomes context, anchored at `subject`.
    pub said: Option<NewMessage>,
    /// The turn whose prompt was answered: itself, or the one that is tried again, whose earlier
    /// replies then no longer count as context.
    pub subject: TurnId,
    /// What to place, in order.
    pub deliveries: Vec<NewDelivery>,
    /// What it used.
    pub usage: Vec<Usage>,
    /// When.
    pub at: Timestamp,
}

/// How much is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Turns that wait.
    pub queued: u64,
    /// Turns that are being answered.
    pub running: u64,
    /// Deliveries that are not settled.
    pub unsettled: u64,
    /// Deliveries whose fate is not known.
    pub in_doubt: u64,
    /// Conversations.
    pub conversations: u64,
    /// People.
    pub people: u64,
}
