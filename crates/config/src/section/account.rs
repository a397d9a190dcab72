//! `[accounts.NAME]`: bot identities on platforms.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::value::{names, secret};

/// One bot identity on a platform.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "platform", rename_all = "lowercase")]
pub enum Account {
    /// A Telegram bot.
    Telegram(TelegramAccount),
    /// A Discord bot.
    Discord(DiscordAccount),
    /// The bot of the web page.
    Web(WebAccount),
}

/// A Telegram bot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelegramAccount {
    /// The token that BotFather gave.
    #[serde(with = "secret")]
    #[schemars(with = "String")]
    pub token: SecretString,
    /// Base address of the Bot API server.
    #[serde(default = "telegram_api")]
    pub api_url: String,
    /// How updates come.
    #[serde(default)]
    pub mode: Mode,
    /// In webhook mode, this server's address as Telegram reaches it; /telegram/NAME is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// In webhook mode, what Telegram proves itself with.
    #[serde(
        default,
        with = "secret::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub webhook_secret: Option<SecretString>,
    /// The persona that answers.
    #[serde(default = "default_persona")]
    pub persona: String,
    /// How it behaves in groups.
    #[serde(default)]
    pub groups: Groups,
    /// Whom it serves.
    #[serde(default)]
    pub allow: Allow,
    /// Whom it does not serve, whatever `allow` says.
    #[serde(default)]
    pub deny: Deny,
    /// Where replies carry buttons.
    #[serde(default)]
    pub buttons: Buttons,
}

/// A Discord bot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscordAccount {
    /// The bot's token.
    #[serde(with = "secret")]
    #[schemars(with = "String")]
    pub token: SecretString,
    /// Base address; /api/v10 is added.
    #[serde(default = "discord_api")]
    pub api_url: String,
    /// Connections to the gateway: "auto" or a number.
    #[serde(default)]
    pub shards: Shards,
    /// The persona that answers.
    #[serde(default = "default_persona")]
    pub persona: String,
    /// How it behaves in channels.
    #[serde(default)]
    pub groups: Groups,
    /// Whom it serves.
    #[serde(default)]
    pub allow: Allow,
    /// Whom it does not serve, whatever `allow` says.
    #[serde(default)]
    pub deny: Deny,
    /// Where replies carry buttons.
    #[serde(default)]
    pub buttons: Buttons,
}

/// The bot of the web page.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebAccount {
    /// The persona that answers.
    #[serde(default = "default_persona")]
    pub persona: String,
}

/// How updates come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Tertulia asks for them.
    #[default]
    Polling,
    /// The platform brings them.
    Webhook,
}

/// Connections to Discord's gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shards {
    /// As many as Discord recommends.
    #[default]
    Auto,
    /// So many.
    Count(u32),
}

/// How an account behaves in groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// What makes it answer.
    pub answer: Vec<Answer>,
    /// What one conversation is.
    pub scope: Scope,
}

/// What makes an account answer in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Its name.
    Mention,
    /// A reply to one of its messages.
    Reply,
    /// A command.
    Command,
    /// Every message.
    All,
}

/// What one conversation is in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Each person's own.
    Person,
    /// The thread or topic, shared by all in it.
    #[default]
    Thread,
    /// The whole chat.
    Chat,
}

/// Whom an account serves: ids, @names or "*".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// People.
    #[serde(deserialize_with = "names::deserialize")]
    pub people: Vec<String>,
    /// Chats.
    #[serde(deserialize_with = "names::deserialize")]
    pub chats: Vec<String>,
}

/// Whom an account does not serve: ids, @names or "*".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deny {
    /// People.
    #[serde(deserialize_with = "names::deserialize")]
    pub people: Vec<String>,
    /// Chats.
    #[serde(deserialize_with = "names::deserialize")]
    pub chats: Vec<String>,
}

/// Where replies carry buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Buttons {
    /// In private chats.
    pub private: bool,
    /// In groups.
    pub groups: bool,
}

// === impl Account ===

impl Account {
    /// The platform's name.
    pub fn platform(&self) -> &'static str {
        match self {
            Self::Telegram(_) => "telegram",
            Self::Discord(_) => "discord",
            Self::Web(_) => "web",
        }
    }

    /// The persona that answers.
    pub fn persona(&self) -> &str {
        match self {
            Self::Telegram(account) => &account.persona,
            Self::Discord(account) => &account.persona,
            Self::Web(account) => &account.persona,
        }
    }
}

impl<'de> Deserialize<'de> for Account {
    /// Reads the table whose `platform` says what else is in it; see `read.rs` for why it is not
    /// derived.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "platform", rename_all = "lowercase")]
        enum ByPlatform {
            Telegram(TelegramAccount),
            Discord(DiscordAccount),
            Web(WebAccount),
        }
        Ok(match ByPlatform::deserialize(from)? {
            ByPlatform::Telegram(account) => Self::Telegram(account),
            ByPlatform::Discord(account) => Self::Discord(account),
            ByPlatform::Web(account) => Self::Web(account),
        })
    }
}

// === defaults ===

impl Default for Groups {
    fn default() -> Self {
        Self {
            answer: vec![Answer::Mention, Answer::Reply, Answer::Command],
            scope: Scope::default(),
        }
    }
}

impl Default for Allow {
    fn default() -> Self {
        Self {
            people: vec!["*".to_owned()],
            chats: vec!["*".to_owned()],
        }
    }
}

impl Default for Buttons {
    fn default() -> Self {
        Self {
            private: true,
            groups: false,
        }
    }
}

fn telegram_api() -> String {
    "https://api.telegram.org".to_owned()
}

fn discord_api() -> String {
    "https://discord.com".to_owned()
}

fn default_persona() -> String {
    crate::DEFAULT_PERSONA.to_owned()
}

// === impl Shards ===

impl std::str::FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(count @ 1..)) => Ok(Self::Count(count)),
            _ => Err(format!(
                r#"{text:?} is neither "auto" nor a number of at least 1"#
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        crate::value::text::parse(from)
    }
}

impl Serialize for Shards {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Count(count) => to.serialize_u32(*count),
        }
    }
}

impl JsonSchema for Shards {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Shards".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "\"auto\" or a number of at least 1.",
            "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1 }]
        })
    }
}
