//! The methods about messages: sending, editing, deleting, drafts, actions, reactions.

use serde_json::{Value, json};

use super::entities::{self, Styled};
use super::ledger::{Button, Draft, What};
use super::params::Call;
use super::refusal::Refusal;
use super::state::{Kind, Message, Standing, State, now};

const TEXT_MAX: usize = 4096;
const CAPTION_MAX: usize = 1024;
const NOT_MODIFIED: &str = "message is not modified: specified new message content and reply \
                            markup are exactly the same as a current content and reply markup of \
                            the message";

impl State {
    pub(crate) fn send_message(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let thread = self.thread(bot, chat, call)?;
        let reply_to = self.reply_target(chat, call)?;
        let styled = self.styled(call, "text", "entities", TEXT_MAX)?;
        self.check_preview(call, &styled);
        let buttons = self.buttons(call)?;
        let message = Message {
            from: bot,
            from_bot: true,
            styled,
            buttons,
            reply_to,
            thread,
            ..Message::default()
        };
        Ok(self.send(chat, message))
    }

    pub(crate) fn send_document(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let thread = self.thread(bot, chat, call)?;
        let reply_to = self.reply_target(chat, call)?;
        let styled = match call.text("caption") {
            Some(text) if !text.is_empty() => {
                self.styled(call, "caption", "caption_entities", CAPTION_MAX)?
            }
            _ => Styled::default(),
        };
        let Some((name, bytes)) = call.files.get("document").cloned() else {
            return Err(Refusal::bad("there is no document in the request"));
        };
        let size = bytes.len();
        let (id, unique) = self.file("document", bytes);
        let media = json!({
            "file_id": id,
            "file_unique_id": unique,
            "file_name": name,
            "file_size": size,
        });
        let message = Message {
            from: bot,
            from_bot: true,
            styled,
            buttons: self.buttons(call)?,
            reply_to,
            thread,
            media: Some(("document".into(), media)),
            ..Message::default()
        };
        Ok(self.send(chat, message))
    }

    fn send(&mut self, chat: i64, message: Message) -> Value {
        // What is said takes the place of what was about to be said.
        self.chat_mut(chat).draft = None;
        let id = self.place(chat, message);
        self.note(What::Sent { chat, message: id });
        self.message_json(chat, id)
    }

    pub(crate) fn edit_text(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let id = self.own_message(bot, chat, call)?;
        let styled = self.styled(call, "text", "entities", TEXT_MAX)?;
        self.check_preview(call, &styled);
        let buttons = self.buttons(call)?;
        self.change(chat, id, Some(styled), buttons)
    }

    pub(crate) fn edit_markup(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let id = self.own_message(bot, chat, call)?;
        let buttons = self.buttons(call)?;
        self.change(chat, id, None, buttons)
    }

    fn change(
        &mut self,
        chat: i64,
        id: i64,
        styled: Option<Styled>,
        buttons: Vec<Vec<Button>>,
    ) -> Result<Value, Refusal> {
        let message = self
            .chat_mut(chat)
            .messages
            .get_mut(&id)
            .expect("the caller looked it up");
        let same_text = styled
            .as_ref()
            .is_none_or(|styled| *styled == message.styled);
        if same_text && buttons == message.buttons {
            return Err(Refusal::bad(NOT_MODIFIED));
        }
        if let Some(styled) = styled.filter(|_| !same_text) {
            let before = std::mem::replace(&mut message.styled, styled);
            message.history.push(before.text);
            message.edit_date = Some(now());
        }
        message.buttons = buttons;
        let text = message.styled.text.clone();
        self.note(What::Edited {
            chat,
            message: id,
            text,
        });
        Ok(self.message_json(chat, id))
    }

    pub(crate) fn delete_message(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let id = call.required("message_id")?;
        let admin = self.chat(chat).bots.get(&bot) == Some(&Standing::Admin);
        let private = self.chat(chat).kind == Kind::Private;
        let message = self
            .chat_mut(chat)
            .messages
            .get_mut(&id)
            .filter(|m| !m.deleted);
        let Some(message) = message else {
            return Err(Refusal::bad("message to delete not found"));
        };
        if message.from != bot && !admin && !private {
            return Err(Refusal::bad("message can't be deleted"));
        }
        message.deleted = true;
        self.note(What::Deleted { chat, message: id });
        Ok(json!(true))
    }

    pub(crate) fn send_action(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let thread = self.thread(bot, chat, call)?;
        let action = call.text("action").unwrap_or_default().to_owned();
        let known = [
            "typing",
            "upload_photo",
            "record_voice",
            "upload_voice",
            "upload_document",
        ];
        if !known.contains(&action.as_str()) {
            self.violation(format!("sendChatAction: odd action {action:?}"));
            return Err(Refusal::bad("wrong parameter action in request"));
        }
        self.note(What::Action {
            chat,
            thread,
            action,
        });
        Ok(json!(true))
    }

    pub(crate) fn send_draft(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        if self.chat(chat).kind != Kind::Private {
            self.violation(format!("sendMessageDraft to {chat}, which is not private"));
            return Err(Refusal::bad("TEXTDRAFT_PEER_INVALID"));
        }
        let id = call.required("draft_id")?;
        if id == 0 {
            self.violation("sendMessageDraft: draft_id is 0".into());
            return Err(Refusal::bad("RANDOM_ID_INVALID"));
        }
        let thread = self.thread(bot, chat, call)?;
        let styled = match call.text("text") {
            Some(text) if !text.trim().is_empty() => {
                self.styled(call, "text", "entities", TEXT_MAX)?
            }
            _ => Styled::default(),
        };
        let text = styled.text;
        let can_stop = call.flag("can_stop");
        self.chat_mut(chat).draft = Some(Draft {
            id,
            text: text.clone(),
            can_stop,
            thread,
        });
        self.note(What::Draft {
            chat,
            draft: id,
            text,
        });
        Ok(json!(true))
    }

    pub(crate) fn set_reaction(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let id = call.required("message_id")?;
        let reactions = call.value("reaction")?.unwrap_or_else(|| json!([]));
        let emoji: Vec<String> = reactions
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|reaction| reaction["emoji"].as_str().map(str::to_owned))
            .collect();
        if emoji.len() > 1 {
            return Err(Refusal::bad("REACTIONS_TOO_MANY"));
        }
        let message = self
            .chat_mut(chat)
            .messages
            .get_mut(&id)
            .filter(|m| !m.deleted);
        let Some(message) = message else {
            return Err(Refusal::bad("message to react not found"));
        };
        message.bot_reactions = emoji;
        Ok(json!(true))
    }

    // What the methods share.

    /// Text with checked entities. Telegram would refuse or silently repair; here it is a violation.
    fn styled(
        &mut self,
        call: &Call,
        text_key: &str,
        entities_key: &str,
        max: usize,
    ) -> Result<Styled, Refusal> {
        let text = call.text(text_key).unwrap_or_default();
        let given = call.value(entities_key)?.unwrap_or_else(|| json!([]));
        let Some(given) = given.as_array() else {
            return Err(Refusal::bad("can't parse entities JSON object"));
        };
        let mode = call.text("parse_mode").unwrap_or_default();
        let outcome = if mode.is_empty() {
            entities::checked(text, given, max)
        } else {
            // Parsers are not emulated: text with entities is the way that cannot go wrong.
            Err(format!(
                "can't parse entities: parse_mode {mode} is not to be used"
            ))
        };
        outcome.map_err(|what| {
            self.violation(format!("{}: {what}", call.method));
            Refusal::bad(&what)
        })
    }

    fn check_preview(&mut self, call: &Call, styled: &Styled) {
        let linked = |e: &Value| matches!(e["type"].as_str(), Some("text_link" | "url"));
        let bare = ["http://", "https://", "www."]
            .iter()
            .any(|mark| styled.text.contains(mark));
        let options = call
            .value("link_preview_options")
            .ok()
            .flatten()
            .unwrap_or_default();
        let disabled = options["is_disabled"] == json!(true);
        let links = bare || styled.entities.iter().any(linked);
        if links && !disabled && !self.options.link_previews {
            self.violation(format!("{}: a link with its preview on", call.method));
        }
    }

    fn thread(&mut self, bot: i64, chat: i64, call: &Call) -> Result<Option<i64>, Refusal> {
        let Some(thread) = call
            .number("message_thread_id")?
            .filter(|thread| *thread != 0)
        else {
            return Ok(None);
        };
        if thread == 1 {
            self.violation(format!(
                "{}: message_thread_id 1, the general topic",
                call.method
            ));
            return Err(Refusal::bad("message thread not found"));
        }
        let chat = self.chat(chat);
        let admin = chat.bots.get(&bot) == Some(&Standing::Admin);
        let alive = match chat.topics.get(&thread) {
            Some(topic) if topic.closed && !topic.deleted && !admin => {
                return Err(Refusal::bad("TOPIC_CLOSED"));
            }
            Some(topic) => !topic.deleted,
            None => !chat.forum && chat.messages.contains_key(&thread),
        };
        alive
            .then_some(Some(thread))
            .ok_or_else(|| Refusal::bad("message thread not found"))
    }

    fn reply_target(&mut self, chat: i64, call: &Call) -> Result<Option<i64>, Refusal> {
        let Some(reply) = call.value("reply_parameters")? else {
            return Ok(None);
        };
        let Some(id) = reply["message_id"].as_i64() else {
            return Err(Refusal::bad("can't parse reply parameters"));
        };
        let target = self
            .chat(chat)
            .messages
            .get(&id)
            .filter(|target| !target.deleted);
        let quoted = target.map(|target| match reply["quote"].as_str() {
            Some(quote) => target.styled.text.contains(quote),
            None => true,
        });
        match quoted {
            Some(true) => Ok(Some(id)),
            Some(false) => Err(Refusal::bad("QUOTE_TEXT_INVALID")),
            None if reply["allow_sending_without_reply"] == json!(true) => Ok(None),
            None => Err(Refusal::bad("message to be replied not found")),
        }
    }

    fn buttons(&mut self, call: &Call) -> Result<Vec<Vec<Button>>, Refusal> {
        let Some(markup) = call.value("reply_markup")? else {
            return Ok(Vec::new());
        };
        let Some(keyboard) = markup["inline_keyboard"].as_array() else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for row in keyboard {
            let mut buttons = Vec::new();
            for button in row.as_array().into_iter().flatten() {
                let label = button["text"].as_str().unwrap_or_default().to_owned();
                let data = button["callback_data"].as_str();
                let problem = match data {
                    _ if label.is_empty() => Some("inline keyboard button text is empty"),
                    Some(data) if data.is_empty() || data.len() > 64 => Some("BUTTON_DATA_INVALID"),
                    None if button["url"].is_null() => Some("BUTTON_TYPE_INVALID"),
                    _ => None,
                };
                if let Some(problem) = problem {
                    self.violation(format!("{}: {problem}: {button}", call.method));
                    return Err(Refusal::bad(problem));
                }
                buttons.push(Button {
                    label,
                    data: data.unwrap_or_default().to_owned(),
                });
            }
            if !buttons.is_empty() {
                rows.push(buttons);
            }
        }
        Ok(rows)
    }

    fn own_message(&mut self, bot: i64, chat: i64, call: &Call) -> Result<i64, Refusal> {
        let id = call.required("message_id")?;
        match self.chat(chat).messages.get(&id) {
            Some(message) if !message.deleted && message.from == bot => Ok(id),
            Some(message) if !message.deleted => Err(Refusal::bad("message can't be edited")),
            _ => Err(Refusal::bad("message to edit not found")),
        }
    }
}
