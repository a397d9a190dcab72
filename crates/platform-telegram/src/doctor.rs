//! What a person wants to know when the account does not do what it should.

use std::time::Duration;

use serde_json::json;

use crate::api::ApiError;
use crate::settings::Mode;
use crate::start::{Myself, Webhook};
use crate::telegram::Telegram;

/// How long a check may take; somebody waits before a terminal.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

// === impl Finding ===

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self {
            ok: true,
            what: what.into(),
            remedy: None,
        }
    }

    fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            ok: false,
            what: what.into(),
            remedy: Some(remedy.into()),
        }
    }
}

// === impl Telegram ===

impl Telegram {
    /// Checks the token, the privacy mode and the webhook; changes nothing.
    pub async fn doctor(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let me = self.api.call("getMe", &json!({}), CHECK_LIMIT).await;
        match me {
            Ok(me) => look_at_me(&me, &mut findings),
            Err(error) => {
                findings.push(unreached(&error));
                return findings;
            }
        }
        let webhook = self
            .api
            .call("getWebhookInfo", &json!({}), CHECK_LIMIT)
            .await;
        findings.push(match webhook {
            Ok(webhook) => self.look_at_webhook(&webhook),
            Err(error) => unreached(&error),
        });
        findings
    }

    fn look_at_webhook(&self, webhook: &Webhook) -> Finding {
        let waiting = webhook.pending_update_count;
        match &self.mode {
            Mode::Polling if webhook.url.is_empty() => {
                Finding::good(format!("polls; {waiting} updates wait"))
            }
            Mode::Polling => Finding::bad(
                "a webhook is set, though this account polls",
                "it is taken away when tertulia starts; if it comes back, another program uses \
                 this token",
            ),
            Mode::Webhook { .. } if Some(&webhook.url) != self.webhook_address().as_ref() => {
                Finding::bad(
                    "the webhook points elsewhere",
                    "it is set when tertulia starts; if it moves again, another program uses \
                     this token",
                )
            }
            Mode::Webhook { .. } => match &webhook.last_error_message {
                Some(error) => Finding::bad(
                    format!("the webhook last failed: {error}; {waiting} updates wait"),
                    "look after the public address, its certificate and the proxy before us",
                ),
                None => Finding::good(format!("the webhook is set; {waiting} updates wait")),
            },
        }
    }
}

fn look_at_me(me: &Myself, findings: &mut Vec<Finding>) {
    findings.push(Finding::good(format!(
        "the token is that of @{}",
        me.username
    )));
    findings.push(if me.can_read_all_group_messages {
        Finding::good("reads all messages in groups")
    } else {
        Finding {
            remedy: Some(
                "to give it what others say as context, turn privacy mode off with \
                 /setprivacy at BotFather and add the bot to the group again"
                    .to_owned(),
            ),
            ..Finding::good("privacy mode is on: in groups it sees only what is meant for it")
        }
    });
}

fn unreached(error: &ApiError) -> Finding {
    match error {
        ApiError::Refused {
            code: 401 | 404, ..
        } => Finding::bad(
            "telegram refuses the token",
            "ask BotFather for a new one with /token",
        ),
        error => Finding::bad(error.to_string(), "look after the network and api_url"),
    }
}
