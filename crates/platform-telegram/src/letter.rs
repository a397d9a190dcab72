//! One message as Telegram takes it: to be sent, or to be written over another.

use serde::Deserialize;
use serde::de::IgnoredAny;
use teloxide_core::payloads::{EditMessageText, SendMessage};
use teloxide_core::types::{
    ChatId, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, MessageEntity,
    MessageId, ReplyMarkup, ReplyParameters, ThreadId,
};
use tertulia_domain::{Button, ButtonAction, Place, PlatformMessageId, Styled};
use tertulia_platform::Outgoing;
use thiserror::Error;

use crate::api::{Api, ApiError};
use crate::entities::entities;

/// The topic that every forum has; the server refuses to hear its number.
const GENERAL_TOPIC: i32 = 1;

/// A place in Telegram's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Positive for a person, negative for a group.
    pub(crate) chat: i64,
    /// The topic, unless it is the general one.
    pub(crate) thread: Option<i32>,
}

/// A place or message that was never one of Telegram.
#[derive(Debug, Error)]
#[error("{0:?} is no number of telegram")]
pub(crate) struct NotTelegram(String);

/// One message, ready to go.
pub(crate) enum Letter {
    /// To be sent.
    Send(Box<SendMessage>),
    /// To be written over another.
    Edit(Box<EditMessageText>),
}

#[derive(Deserialize)]
struct Sent {
    message_id: i64,
}

// === impl Address ===

impl Address {
    pub(crate) fn of(place: &Place) -> Result<Self, NotTelegram> {
        let thread = match &place.thread {
            Some(thread) => Some(number::<i32>(thread.as_str())?),
            None => None,
        };
        Ok(Self {
            chat: number(place.chat.as_str())?,
            thread: thread.filter(|thread| *thread != GENERAL_TOPIC),
        })
    }

    pub(crate) fn is_group(self) -> bool {
        self.chat < 0
    }

    /// Whether messages are numbered in this chat alone, not among all of the account's.
    pub(crate) fn numbers_its_own(self) -> bool {
        self.chat <= -1_000_000_000_000
    }
}

// === impl Letter ===

impl Letter {
    pub(crate) fn new(address: Address, outgoing: &Outgoing) -> Result<Self, NotTelegram> {
        if let Some(message) = &outgoing.message {
            let message = number(message.as_str())?;
            return Ok(Self::over(address, message, outgoing));
        }
        let mut send = SendMessage::new(ChatId(address.chat), outgoing.content.text.clone());
        send.message_thread_id = address.thread.map(|thread| ThreadId(MessageId(thread)));
        send.entities = styles(&outgoing.content);
        send.link_preview_options = Some(no_preview());
        send.reply_markup = keyboard(&outgoing.buttons).map(ReplyMarkup::InlineKeyboard);
        if let Some(question) = &outgoing.reply_to {
            let question = MessageId(number(question.as_str())?);
            send.reply_parameters =
                Some(ReplyParameters::new(question).allow_sending_without_reply());
        }
        Ok(Self::Send(Box::new(send)))
    }

    /// The same message, written over another one.
    pub(crate) fn over(address: Address, message: i32, outgoing: &Outgoing) -> Self {
        let mut edit = EditMessageText::new(
            ChatId(address.chat),
            MessageId(message),
            outgoing.content.text.clone(),
        );
        edit.entities = styles(&outgoing.content);
        edit.link_preview_options = Some(no_preview());
        edit.reply_markup = keyboard(&outgoing.buttons);
        Self::Edit(Box::new(edit))
    }

    pub(crate) fn is_edit(&self) -> bool {
        matches!(self, Self::Edit(_))
    }

    /// The message that is written over.
    pub(crate) fn target(&self) -> Option<PlatformMessageId> {
        match self {
            Self::Send(_) => None,
            Self::Edit(edit) => Some(edit.message_id.0.to_string().into()),
        }
    }

    /// Takes the styles off; false if there were none.
    pub(crate) fn strip(&mut self) -> bool {
        let entities = match self {
            Self::Send(send) => &mut send.entities,
            Self::Edit(edit) => &mut edit.entities,
        };
        entities.take().is_some()
    }

    /// Hands it over and returns the message's id.
    pub(crate) async fn post(&self, api: &Api) -> Result<PlatformMessageId, ApiError> {
        match self {
            Self::Send(send) => {
                let sent: Sent = api.send(send.as_ref()).await?;
                Ok(sent.message_id.to_string().into())
            }
            Self::Edit(edit) => {
                let IgnoredAny = api.send(edit.as_ref()).await?;
                Ok(edit.message_id.0.to_string().into())
            }
        }
    }
}

/// Reads a number off an id.
pub(crate) fn number<T: std::str::FromStr>(id: &str) -> Result<T, NotTelegram> {
    id.parse().map_err(|_| NotTelegram(id.to_owned()))
}

fn styles(content: &Styled) -> Option<Vec<MessageEntity>> {
    Some(entities(content)).filter(|entities| !entities.is_empty())
}

fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

fn keyboard(buttons: &[Button]) -> Option<InlineKeyboardMarkup> {
    let row: Vec<_> = buttons
        .iter()
        .map(|button| {
            let label = match button.action {
                ButtonAction::Stop => "⏹",
                ButtonAction::Retry => "🔄",
                ButtonAction::Like => "👍",
                ButtonAction::Dislike => "👎",
            };
            InlineKeyboardButton::callback(label, button.token())
        })
        .collect();
    (!row.is_empty()).then(|| InlineKeyboardMarkup::new([row]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tertulia_domain::{DeliveryId, Span, Style, TurnId};
    use tertulia_platform::Urgency;

    use super::*;

    fn outgoing(thread: Option<&str>, message: Option<&str>) -> Outgoing {
        Outgoing {
            delivery: DeliveryId(1),
            turn: TurnId(5),
            place: Place {
                account: "telegram".into(),
                chat: "-1001".into(),
                thread: thread.map(Into::into),
            },
            reply_to: Some("33".into()),
            content: Styled {
                text: "🎉 bold".to_owned(),
                spans: vec![Span {
                    range: 5..9,
                    style: Style::Bold,
                }],
            },
            buttons: vec![Button {
                action: ButtonAction::Like,
                turn: TurnId(5),
            }],
            message: message.map(Into::into),
            urgency: Urgency::Final,
        }
    }

    fn wire(outgoing: &Outgoing) -> Value {
        let address = Address::of(&outgoing.place).unwrap();
        match Letter::new(address, outgoing).unwrap() {
            Letter::Send(send) => serde_json::to_value(send),
            Letter::Edit(edit) => serde_json::to_value(edit),
        }
        .unwrap()
    }

    #[test]
    fn a_message_is_written_as_the_api_wants_it() {
        let sent = wire(&outgoing(Some("77"), None));
        let keyboard = json!({"inline_keyboard": [[{"text": "👍", "callback_data": "like:5"}]]});
        assert_eq!(sent["chat_id"], -1001);
        assert_eq!(sent["message_thread_id"], 77);
        assert_eq!(sent["text"], "🎉 bold");
        assert_eq!(
            sent["entities"],
            json!([{"type": "bold", "offset": 3, "length": 4}])
        );
        assert_eq!(sent["link_preview_options"]["is_disabled"], true);
        assert_eq!(sent["reply_parameters"]["message_id"], 33);
        assert_eq!(
            sent["reply_parameters"]["allow_sending_without_reply"],
            true
        );
        assert_eq!(sent["reply_markup"], keyboard);

        let edited = wire(&outgoing(Some("77"), Some("6")));
        assert_eq!(edited["message_id"], 6);
        assert_eq!(edited["entities"], sent["entities"]);
        assert_eq!(edited["reply_markup"], keyboard);
    }

    #[test]
    fn the_general_topic_is_never_named() {
        assert_eq!(
            wire(&outgoing(Some("1"), None)).get("message_thread_id"),
            None
        );
        assert_eq!(wire(&outgoing(None, None)).get("message_thread_id"), None);
    }

    #[test]
    fn places_of_others_are_refused() {
        let mut foreign = outgoing(None, None).place;
        foreign.chat = "lobby".into();
        assert!(Address::of(&foreign).is_err());
    }
}
