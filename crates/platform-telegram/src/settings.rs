//! What an account on Telegram is made from.

use std::time::Duration;

use secrecy::SecretString;
use tertulia_domain::{AccountId, Language};

/// The base address of the public Bot API.
pub const PUBLIC_API: &str = "https://api.telegram.org";

/// What an account on Telegram is made from.
#[derive(Clone, Debug)]
pub struct TelegramSettings {
    /// The account's name in the config.
    pub account: AccountId,
    /// The token that BotFather gave.
    pub token: SecretString,
    /// Base address of the Bot API server; [`PUBLIC_API`] unless self-hosted.
    pub api_url: String,
    /// How updates come in.
    pub mode: Mode,
    /// The commands shown in the clients' menus, by language.
    pub commands: Vec<CommandMenu>,
    /// How long one poll may stay open; Telegram caps it at 50 s.
    pub poll: Duration,
}

/// How updates come in.
#[derive(Clone, Debug)]
pub enum Mode {
    /// We ask for them.
    Polling,
    /// Telegram posts them to us.
    Webhook {
        /// Our public base address; `/telegram/<account>` is added.
        url: String,
        /// What Telegram shows so that we know it is Telegram: 1 to 256 of `A-Za-z0-9_-`.
        secret: SecretString,
    },
}

/// The commands shown to people of one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandMenu {
    /// The language; none for everybody who has no menu of their own.
    pub language: Option<Language>,
    /// Names without slash, and what they do.
    pub commands: Vec<(String, String)>,
}

// === impl TelegramSettings ===

impl TelegramSettings {
    /// The longest poll that the server grants.
    pub const POLL_MAX: Duration = Duration::from_secs(50);

    /// Polling the public server, without a menu.
    pub fn new(account: AccountId, token: SecretString) -> Self {
        Self {
            account,
            token,
            api_url: PUBLIC_API.to_owned(),
            mode: Mode::Polling,
            commands: Vec::new(),
            poll: Duration::from_secs(30),
        }
    }
}
