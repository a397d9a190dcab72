//! The first calls of an account: who we are, how updates come in, what menus show.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use teloxide_core::payloads::{DeleteWebhook, GetMe, GetMyCommands, GetWebhookInfo, SetMyCommands};
use teloxide_core::types::BotCommand;
use tertulia_domain::Language;
use tertulia_platform::PlatformError;

use crate::api::{ApiError, CALL_LIMIT};
use crate::hear::after_trouble;
use crate::settings::{CommandMenu, Mode};
use crate::telegram::Telegram;
use crate::translate::{ALLOWED_UPDATES, Me};

/// How many webhook requests Telegram may have in flight at one time.
const WEBHOOK_CONNECTIONS: u8 = 40;

/// How often the webhook is looked at, as nothing tells us when it was taken away.
const WEBHOOK_LOOK: Duration = Duration::from_secs(300);

/// What we read of ourselves.
#[derive(Deserialize)]
pub(crate) struct Myself {
    pub(crate) id: i64,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) can_read_all_group_messages: bool,
}

/// What we read of the webhook.
#[derive(Deserialize)]
pub(crate) struct Webhook {
    #[serde(default)]
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) pending_update_count: u64,
    #[serde(default)]
    pub(crate) last_error_message: Option<String>,
}

// === impl Telegram ===

impl Telegram {
    /// Learns who we are, however long the network needs.
    pub(crate) async fn introduce(&self) -> Result<Me, PlatformError> {
        let mut trouble = after_trouble();
        loop {
            let error = match self.api.send::<_, Myself>(&GetMe::new()).await {
                Ok(myself) => {
                    return Ok(Me {
                        id: myself.id,
                        username: myself.username,
                    });
                }
                Err(error) => error,
            };
            // A malformed token is not found rather than refused.
            if matches!(
                &error,
                ApiError::Refused {
                    code: 401 | 404,
                    ..
                }
            ) {
                return Err(PlatformError::Unauthorized(Box::new(error)));
            }
            let pause = error.retry_after().unwrap_or_else(|| trouble.pause());
            tracing::warn!(account = %self.account, %error, ?pause, "telegram does not answer yet");
            tokio::time::sleep(pause).await;
        }
    }

    /// Sets up how updates come in, and the menus; none of it is worth failing for.
    pub(crate) async fn set_up(&self) {
        match &self.mode {
            Mode::Polling => self.leave_webhook().await,
            Mode::Webhook { .. } => self.enter_webhook().await,
        }
        for menu in &self.commands {
            if let Err(error) = self.show_menu(menu).await {
                tracing::warn!(account = %self.account, %error, "the command menu is not set");
            }
        }
    }

    /// Takes a webhook away that would keep us from polling; what waits there is kept.
    pub(crate) async fn leave_webhook(&self) {
        let left = async {
            let info: Webhook = self.api.send(&GetWebhookInfo::new()).await?;
            if info.url.is_empty() {
                return Ok(());
            }
            tracing::warn!(account = %self.account, "takes the webhook away in order to poll");
            let mut delete = DeleteWebhook::new();
            delete.drop_pending_updates = Some(false);
            self.api.send::<_, IgnoredAny>(&delete).await.map(drop)
        };
        if let Err(error) = left.await {
            let error: ApiError = error;
            tracing::warn!(account = %self.account, %error, "cannot look after the webhook");
        }
    }

    /// Sets the webhook, as often as it takes.
    async fn enter_webhook(&self) {
        let mut trouble = after_trouble();
        while let Err(error) = self.set_webhook().await {
            self.watch(&error);
            let pause = error.retry_after().unwrap_or_else(|| trouble.pause());
            tracing::error!(account = %self.account, %error, ?pause, "the webhook is not set");
            if self.refused.is_cancelled() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Sets the webhook again whenever somebody took it away; returns when we are refused.
    pub(crate) async fn mind_the_webhook(&self) -> PlatformError {
        loop {
            tokio::select! {
                () = self.refused.cancelled() => {
                    return PlatformError::Unauthorized("refused while serving".into());
                }
                () = tokio::time::sleep(WEBHOOK_LOOK) => {}
            }
            match self.api.send::<_, Webhook>(&GetWebhookInfo::new()).await {
                Ok(info) if Some(&info.url) != self.webhook_address().as_ref() => {
                    tracing::error!(account = %self.account, "somebody took the webhook away");
                    self.enter_webhook().await;
                }
                Ok(_) => {}
                Err(error) => self.watch(&error),
            }
        }
    }

    /// Where Telegram shall post: the public base address and this account's path.
    pub(crate) fn webhook_address(&self) -> Option<String> {
        let Mode::Webhook { url, .. } = &self.mode else {
            return None;
        };
        let mut url = reqwest::Url::parse(url).ok()?;
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .push("telegram")
            .push(self.account.as_str());
        Some(url.into())
    }

    async fn set_webhook(&self) -> Result<(), ApiError> {
        let Mode::Webhook { secret, .. } = &self.mode else {
            return Ok(());
        };
        // By hand, as the library does not know every kind of update that we ask for.
        let body = json!({
            "url": self.webhook_address(),
            "secret_token": secret.expose_secret(),
            "allowed_updates": ALLOWED_UPDATES,
            "max_connections": WEBHOOK_CONNECTIONS,
            "drop_pending_updates": false,
        });
        let IgnoredAny = self.api.call("setWebhook", &body, CALL_LIMIT).await?;
        Ok(())
    }

    /// Sets a menu if it is not what clients show already.
    async fn show_menu(&self, menu: &CommandMenu) -> Result<(), ApiError> {
        let language = menu.language.map(Language::tag).map(str::to_owned);
        let wanted: Vec<BotCommand> = menu
            .commands
            .iter()
            .filter(|(name, _)| is_command_name(name))
            .take(100)
            .map(|(name, does)| BotCommand::new(name, does.chars().take(256).collect::<String>()))
            .collect();
        let mut get = GetMyCommands::new();
        get.language_code.clone_from(&language);
        let shown: Vec<BotCommand> = self.api.send(&get).await?;
        if shown == wanted {
            return Ok(());
        }
        let mut set = SetMyCommands::new(wanted);
        set.language_code = language;
        let IgnoredAny = self.api.send(&set).await?;
        Ok(())
    }
}

/// Names that Telegram takes; one that it does not would cost the whole menu.
fn is_command_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
