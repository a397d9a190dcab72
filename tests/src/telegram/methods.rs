//! The methods that answer from the state at once, apart from those about messages.

use serde_json::{Value, json};

use super::ledger::What;
use super::params::Call;
use super::refusal::Refusal;
use super::state::{Kind, Standing, State};

impl State {
    pub(crate) fn obey(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        match call.method.as_str() {
            "getme" => Ok(self.me(bot)),
            "deletewebhook" => {
                let state = self.bot(bot);
                state.hook = None;
                if call.flag("drop_pending_updates") {
                    state.queue.clear();
                }
                Ok(json!(true))
            }
            "getwebhookinfo" => Ok(self.webhook_info(bot)),
            "sendmessage" => self.send_message(bot, call),
            "senddocument" => self.send_document(bot, call),
            "editmessagetext" => self.edit_text(bot, call),
            "editmessagereplymarkup" => self.edit_markup(bot, call),
            "deletemessage" => self.delete_message(bot, call),
            "sendchataction" => self.send_action(bot, call),
            "sendmessagedraft" => self.send_draft(bot, call),
            "setmessagereaction" => self.set_reaction(bot, call),
            "answercallbackquery" => self.answer_callback(bot, call),
            "setmycommands" => self.set_commands(bot, call),
            "getmycommands" => {
                let key = command_key(call)?;
                Ok(self
                    .bot(bot)
                    .commands
                    .get(&key)
                    .cloned()
                    .unwrap_or_else(|| json!([])))
            }
            "deletemycommands" => {
                let key = command_key(call)?;
                self.bot(bot).commands.remove(&key);
                Ok(json!(true))
            }
            "getfile" => {
                let id = call.text("file_id").unwrap_or_default().to_owned();
                let size = self.files.get(&id).map(Vec::len);
                let size = size.ok_or_else(|| Refusal::bad("invalid file_id"))?;
                if size > 20 << 20 {
                    return Err(Refusal::bad("file is too big"));
                }
                Ok(json!({
                    "file_id": id,
                    "file_unique_id": format!("unique-{id}"),
                    "file_size": size,
                    "file_path": format!("files/{id}"),
                }))
            }
            "getchat" => {
                let chat = self.reachable(bot, call)?;
                let mut json = self.chat_json(chat);
                json["accent_color_id"] = json!(0);
                json["max_reaction_count"] = json!(11);
                Ok(json)
            }
            "getchatmember" => self.chat_member(bot, call),
            _ => Ok(json!(true)),
        }
    }

    fn me(&mut self, bot: i64) -> Value {
        let mut me = self.user_json(bot);
        me["can_join_groups"] = json!(true);
        me["can_read_all_group_messages"] = json!(!self.bot(bot).privacy);
        me["supports_inline_queries"] = json!(false);
        me["can_connect_to_business"] = json!(false);
        me["has_main_web_app"] = json!(false);
        me["has_topics_enabled"] = json!(false);
        me
    }

    /// The chat of a call when the bot may act there.
    pub(crate) fn reachable(&mut self, bot: i64, call: &Call) -> Result<i64, Refusal> {
        let id = call
            .number("chat_id")?
            .ok_or_else(|| Refusal::bad("chat_id is empty"))?;
        let missing = || Refusal::bad("chat not found");
        let chat = self.chats.get(&id).ok_or_else(missing)?;
        let standing = *chat.bots.get(&bot).ok_or_else(missing)?;
        if let Some(to) = chat.migrated_to {
            return Err(Refusal::migrated(to));
        }
        match (standing, chat.kind) {
            (Standing::Member | Standing::Admin, _) => Ok(id),
            (Standing::Out, Kind::Private) => {
                Err(Refusal::forbidden("bot was blocked by the user"))
            }
            (Standing::Out, Kind::Group) => {
                Err(Refusal::forbidden("bot was kicked from the group chat"))
            }
            (Standing::Out, Kind::Supergroup) => Err(Refusal::forbidden(
                "bot was kicked from the supergroup chat",
            )),
            (Standing::Stranger, _) => {
                self.violation(format!(
                    "{} to {id}, who never wrote to the bot",
                    call.method
                ));
                Err(Refusal::forbidden(
                    "bot can't initiate conversation with a user",
                ))
            }
        }
    }

    fn chat_member(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let chat = self.reachable(bot, call)?;
        let user = call.required("user_id")?;
        if let Some(standing) = self.chat(chat).bots.get(&user) {
            return Ok(member_json(&self.user_json(user), *standing));
        }
        if !self.people.contains_key(&user) {
            return Err(Refusal::bad("user not found"));
        }
        Ok(member_json(&self.user_json(user), Standing::Member))
    }

    fn answer_callback(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let id = call
            .text("callback_query_id")
            .unwrap_or_default()
            .to_owned();
        let text = call.text("text").map(str::to_owned);
        if text.as_ref().is_some_and(|text| text.chars().count() > 200) {
            self.violation("answerCallbackQuery: more than 200 characters".into());
            return Err(Refusal::bad("MESSAGE_TOO_LONG"));
        }
        let open = self.callbacks.get_mut(&id).filter(|callback| {
            callback.bot == bot
                && callback.answer.is_none()
                && callback.at.elapsed().as_secs() < 150
        });
        let Some(callback) = open else {
            return Err(Refusal::bad(
                "query is too old and response timeout expired or query ID is invalid",
            ));
        };
        callback.answer = Some(text.clone().unwrap_or_default());
        self.note(What::CallbackAnswered { id, text });
        Ok(json!(true))
    }

    fn set_commands(&mut self, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let key = command_key(call)?;
        let commands = call.value("commands")?.unwrap_or_else(|| json!([]));
        let list = commands.as_array().cloned().unwrap_or_default();
        if list.len() > 100 {
            self.violation("setMyCommands: more than 100 commands".into());
            return Err(Refusal::bad("BOT_COMMANDS_TOO_MUCH"));
        }
        for command in &list {
            let name = command["command"].as_str().unwrap_or_default();
            let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || name.len() > 32 || !name.chars().all(lower) {
                self.violation(format!("setMyCommands: bad name {name:?}"));
                return Err(Refusal::bad("BOT_COMMAND_INVALID"));
            }
            let about = command["description"].as_str().unwrap_or_default();
            if about.is_empty() || about.chars().count() > 256 {
                self.violation(format!("setMyCommands: bad description of {name}"));
                return Err(Refusal::bad("BOT_COMMAND_DESCRIPTION_INVALID"));
            }
        }
        self.bot(bot).commands.insert(key, commands);
        Ok(json!(true))
    }
}

/// Commands are kept for each scope and language: `default/`, `all_group_chats/zh`.
fn command_key(call: &Call) -> Result<String, Refusal> {
    let scope = call.value("scope")?;
    let scope = match &scope {
        Some(scope) => scope["type"]
            .as_str()
            .ok_or_else(|| Refusal::bad("invalid scope"))?,
        None => "default",
    };
    let language = call.text("language_code").unwrap_or_default();
    let lower = language.chars().all(|c| c.is_ascii_lowercase());
    if !(language.is_empty() || language.len() == 2 && lower) {
        return Err(Refusal::bad("invalid language code specified"));
    }
    Ok(format!("{scope}/{language}"))
}

pub(crate) fn member_json(user: &Value, standing: Standing) -> Value {
    match standing {
        Standing::Member | Standing::Stranger => json!({"status": "member", "user": user}),
        Standing::Out => json!({"status": "kicked", "user": user, "until_date": 0}),
        Standing::Admin => json!({
            "status": "administrator",
            "user": user,
            "can_be_edited": false,
            "is_anonymous": false,
            "can_manage_chat": true,
            "can_delete_messages": true,
            "can_manage_video_chats": false,
            "can_restrict_members": false,
            "can_promote_members": false,
            "can_change_info": false,
            "can_invite_users": false,
            "can_post_stories": false,
            "can_edit_stories": false,
            "can_delete_stories": false,
        }),
    }
}

impl Kind {
    pub(crate) fn is_group(self) -> bool {
        self != Self::Private
    }
}
