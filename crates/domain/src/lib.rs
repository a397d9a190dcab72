//! The words of the house.
//!
//! One word for one thing, used alike in code, tables, config keys, metrics and log fields.
//! Everything here is plain data: no async, no storage, no wire formats.
//! Read in this order: who and where ([`ids`], [`place`]), what was said ([`message`], [`styled`]),
//! what is to be answered ([`turn`]), what goes back ([`delivery`]), what people thought of it
//! ([`feedback`]), what it cost ([`usage`]), and when ([`clock`]).

pub mod clock;
pub mod command;
pub mod delivery;
pub mod feedback;
pub mod ids;
pub mod language;
pub mod message;
pub mod place;
pub mod styled;
pub mod turn;
pub mod usage;

pub use clock::{Clock, SystemClock, Timestamp};
pub use command::Command;
pub use delivery::{Button, ButtonAction, Delivery, DeliveryState};
pub use feedback::{Feedback, Judgement};
pub use ids::{
    AccountId, ChatId, ConversationId, DeliveryId, MessageId, ModelName, PersonId, PersonaName,
    PlatformMessageId, ThreadId, TurnId,
};
pub use language::Language;
pub use message::{Attachment, AttachmentKind, Message, MessageKind};
pub use place::{ConversationKey, Place, Scope};
pub use styled::{Span, Style, Styled};
pub use turn::{Ask, Refusal, Turn, TurnEnd, TurnState};
pub use usage::{Money, Usage};
