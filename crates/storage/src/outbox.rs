//! Deliveries: what shall stand on the platforms, and whether it does.

use async_trait::async_trait;
use tertulia_domain::{
    AccountId, Button, ChatId, ConversationId, Delivery, DeliveryId, DeliveryState, Place,
    PlatformMessageId, Styled, Timestamp, TurnId,
};

use crate::error::StorageError;

/// Keeps deliveries.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Adds a delivery of a running turn, as [`DeliveryState::Sending`]: a message that is placed
    /// early and edited until the answer is complete.
    ///
    /// Part 0 of a turn is there once; when it was added before (by a process that died since) the
    /// earlier one is returned as it is.
    async fn open_delivery(
        &self,
        turn: TurnId,
        delivery: &NewDelivery,
        now: Timestamp,
    ) -> Result<Delivery, StorageError>;

    /// The deliveries of a conversation that are not settled (pending, sending, in doubt), oldest
    /// first, leaving out those of turns that are still running.
    async fn unsettled(&self, conversation: ConversationId) -> Result<Vec<Delivery>, StorageError>;

    /// The deliveries of a turn, by part.
    async fn deliveries(&self, turn: TurnId) -> Result<Vec<Delivery>, StorageError>;

    /// Notes how far a delivery is, and its id on the platform if it became known.
    async fn mark(
        &self,
        delivery: DeliveryId,
        state: DeliveryState,
        message: Option<&PlatformMessageId>,
        now: Timestamp,
    ) -> Result<(), StorageError>;

    /// Forgets the platform's id of a delivery whose message is gone, so that it is placed anew.
    async fn unplace(&self, delivery: DeliveryId, now: Timestamp) -> Result<(), StorageError>;

    /// What is known of the chat's messages around the moment when the delivery was last begun
    /// (opened, or marked as sending), where ids are numbers.
    async fn whereabouts(&self, delivery: DeliveryId) -> Result<Whereabouts, StorageError>;

    /// What is known about reaching a place.
    async fn place_state(&self, place: &Place) -> Result<PlaceState, StorageError>;

    /// Notes that a chat cannot be reached, or can again.
    async fn set_reach(
        &self,
        account: &AccountId,
        chat: &ChatId,
        unreachable: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StorageError>;

    /// Notes that a thread is gone; answers go to the chat itself from now on.
    async fn close_thread(&self, place: &Place, now: Timestamp) -> Result<(), StorageError>;

    /// A chat goes on under another id: conversations, open turns and deliveries follow.
    ///
    /// A conversation that exists under the new id already takes in the earlier one, whose
    /// messages come first.
    async fn move_chat(
        &self,
        account: &AccountId,
        from: &ChatId,
        to: &ChatId,
    ) -> Result<(), StorageError>;
}

/// A message to place.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// The part of the reply, from 0.
    ///
    /// When the turn has a delivery with this part already (opened while it ran), that one is
    /// given the new content and is pending again (an edit of the message that it has); only if it
    /// was sending or in doubt without a message it is in doubt, to be settled with the new
    /// content: probing by an edit then completes the lost message.
    pub part: u32,
    /// Where it goes.
    pub place: Place,
    /// The message that it is a reply to.
    pub reply_to: Option<PlatformMessageId>,
    /// What it shall show.
    pub content: Styled,
    /// The buttons below it.
    pub buttons: Vec<Button>,
}

/// What is known of a chat's messages around the moment when a delivery was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The greatest message id known then, ours or another's: what was placed stands behind it,
    /// whatever has been said in the chat since. For a talk between two, among all such talks of
    /// the account, as they share a counter or the order of time.
    pub begun_after: Option<PlatformMessageId>,
    /// Messages of other deliveries in that chat that are known to stand behind it, at most 1000.
    pub others: Vec<PlatformMessageId>,
}

/// What is known about reaching a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceState {
    /// Why the chat cannot be reached, if it cannot.
    pub unreachable: Option<String>,
    /// Whether the thread is gone.
    pub thread_gone: bool,
}
