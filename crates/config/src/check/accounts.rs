//! Accounts: tokens, addresses, webhooks, personas.

use secrecy::ExposeSecret as _;

use super::Check;
use crate::config::Config;
use crate::section::account::{Account, Mode, TelegramAccount};
use crate::tree::Path;

pub(super) fn check(config: &Config, check: &mut Check<'_>) {
    let mut tokens: Vec<(&str, &str)> = Vec::new();
    for (name, account) in &config.accounts {
        let path = Path::keys(["accounts", name]);
        check.reference(&path.key("persona"), "personas", account.persona());
        let token = match account {
            Account::Telegram(telegram) => {
                check.address(&path.key("api_url"), &telegram.api_url, &["https", "http"]);
                webhook(telegram, &path, check);
                &telegram.token
            }
            Account::Discord(discord) => {
                check.address(&path.key("api_url"), &discord.api_url, &["https", "http"]);
                &discord.token
            }
            Account::Web(_) => continue,
        };
        check.secret(&path.key("token"), token);
        let token = token.expose_secret();
        // A bot's updates go to one asker only: two accounts would take them from each other.
        match tokens.iter().find(|(_, other)| *other == token) {
            Some((other, _)) if !token.is_empty() => {
                check.report(
                    &path.key("token"),
                    format!("it is the token of {other:?} too"),
                );
            }
            _ => tokens.push((name, token)),
        }
    }
}

fn webhook(account: &TelegramAccount, path: &Path, check: &mut Check<'_>) {
    let wanted = account.mode == Mode::Webhook;
    match &account.webhook_url {
        Some(url) => {
            let path = path.key("webhook_url");
            let here = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
            let schemes: &[&str] = if here.iter().any(|h| url.starts_with(h)) {
                &["http"]
            } else {
                &["https"]
            };
            check.address(&path, url, schemes);
        }
        None if wanted => check.report(&path.key("webhook_url"), "webhook mode needs it"),
        None => {}
    }
    match &account.webhook_secret {
        Some(secret) => {
            let secret = secret.expose_secret();
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if !(1..=256).contains(&secret.len()) || !secret.bytes().all(letters) {
                let message = "it must have 1 to 256 of the letters A-Z a-z 0-9 _ -";
                check.report(&path.key("webhook_secret"), message);
            }
        }
        None if wanted => {
            let message = "webhook mode needs it, and its variable, if any, must be set";
            check.report(&path.key("webhook_secret"), message);
        }
        None => {}
    }
}
