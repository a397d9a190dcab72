//! The seam of a chat platform.
//!
//! A platform hears and speaks: it hands every update to an [`Intake`], which commits it before
//! the platform may confirm it (promise G3), and it places deliveries and shows previews.
//! What only some platforms can do is data ([`Capabilities`]), never another method.
//!
//! To add a platform: implement [`Platform`] in a crate of its own on the adapters' floor,
//! translate updates to [`Event`]s at the door, and keep its flow control inside.
//! Nothing above needs to change.

mod capabilities;
mod error;
mod event;
mod intake;
mod outgoing;

pub use capabilities::{Capabilities, Streaming};
pub use error::{DeliverError, PlatformError};
pub use event::{Edited, Event, Moved, Pressed, Reach, Reacted, ReplyTo, Said, Unreachable};
pub use intake::{Intake, IntakeError, Update};
pub use outgoing::{Outgoing, Preview, Settled, Traces, Urgency};

use std::sync::Arc;

use async_trait::async_trait;
use tertulia_domain::{AccountId, Place, PlatformMessageId, Styled};
use tokio_util::sync::CancellationToken;

/// One account on a chat platform.
#[async_trait]
pub trait Platform: Send + Sync {
    /// The account's name in the config.
    fn account(&self) -> &AccountId;

    /// What can be done at this place, as far as is known by now.
    fn capabilities(&self, place: &Place) -> Capabilities;

    /// Turns a reply in Markdown into parts that fit in one message each.
    ///
    /// An empty reply yields no part.
    fn compose(&self, markdown: &str) -> Vec<Styled>;

    /// Hears until `stop`: hands updates to `intake` in order and confirms only what it took.
    ///
    /// Returns after the last confirmed update; nothing is lost when the future is dropped, as
    /// whatever was not confirmed is delivered again.
    ///
    /// # Errors
    /// Only what no patience mends, such as a refused token.
    async fn run(
        &self,
        intake: Arc<dyn Intake>,
        stop: CancellationToken,
    ) -> Result<(), PlatformError>;

    /// Places or edits one message, waiting out flood control, and returns its id.
    ///
    /// At most one final delivery is in flight in one chat.
    /// Dropping the future leaves the delivery in doubt.
    async fn deliver(&self, outgoing: &Outgoing) -> Result<PlatformMessageId, DeliverError>;

    /// Finds out whether a delivery that was lost sight of has arrived, without placing it anew.
    ///
    /// The caller sees to it that nothing else is placed in that chat meanwhile.
    async fn settle(&self, outgoing: &Outgoing, traces: &Traces) -> Result<Settled, DeliverError>;

    /// Shows something that does not last: that we are at work, or the text so far.
    ///
    /// # Errors
    /// [`DeliverError::Unsupported`] if this place cannot show it; then use a message and edits.
    async fn preview(&self, preview: &Preview) -> Result<(), DeliverError>;
}
