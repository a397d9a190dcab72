//! From the accounts of a config to platforms.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use tertulia_config::{Account, Config, Mode, TelegramAccount};
use tertulia_conversation::menu;
use tertulia_domain::{AccountId, Clock, Language};
use tertulia_platform::Platform;
use tertulia_platform_telegram::{CommandMenu, Mode as Hearing, Telegram, TelegramSettings};
use tertulia_platform_web::{CommandHint, Web};
use tertulia_storage::Storage;
use tracing::warn;

use crate::history::StoredHistory;

/// The accounts of a config, ready to run.
#[derive(Default)]
pub(crate) struct Accounts {
    /// By name.
    pub(crate) platforms: HashMap<AccountId, Arc<dyn Platform>>,
    /// What they serve over HTTP.
    pub(crate) routes: Router,
    /// The page, whose open streams are ended last.
    pub(crate) web: Option<Arc<Web>>,
}

/// Makes the accounts of a config.
pub(crate) fn accounts(
    config: &Config,
    storage: &Arc<dyn Storage>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Accounts> {
    let mut accounts = Accounts::default();
    for (name, section) in &config.accounts {
        let account = AccountId::from(name.as_str());
        let platform: Arc<dyn Platform> = match section {
            Account::Telegram(section) => {
                let telegram = telegram(account.clone(), section, clock.clone())
                    .with_context(|| format!("account {name}"))?;
                accounts.routes = accounts.routes.merge(telegram.webhook_routes());
                telegram
            }
            Account::Web(_) => {
                let history = StoredHistory {
                    account: account.clone(),
                    storage: storage.clone(),
                };
                let web = Web::new(account.clone(), clock.clone(), Arc::new(history), hints());
                if accounts.web.is_some() {
                    bail!("account {name}: there is one page, so only one web account");
                }
                accounts.routes = accounts.routes.merge(web.routes());
                accounts.web = Some(web.clone());
                web
            }
            Account::Discord(_) => {
                warn!(
                    account = name.as_str(),
                    "Discord is not served by this version"
                );
                continue;
            }
        };
        accounts.platforms.insert(account, platform);
    }
    Ok(accounts)
}

/// A Telegram account.
pub(crate) fn telegram(
    account: AccountId,
    section: &TelegramAccount,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<Telegram>> {
    let mut settings = TelegramSettings::new(account, section.token.clone());
    settings.api_url.clone_from(&section.api_url);
    settings.commands = vec![
        CommandMenu {
            language: None,
            commands: menu(Language::English),
        },
        CommandMenu {
            language: Some(Language::Chinese),
            commands: menu(Language::Chinese),
        },
    ];
    if section.mode == Mode::Webhook {
        let url = section
            .webhook_url
            .clone()
            .context("webhook_url is missing")?;
        let secret = section
            .webhook_secret
            .clone()
            .context("webhook_secret is missing")?;
        settings.mode = Hearing::Webhook { url, secret };
    }
    Ok(Telegram::new(settings, clock)?)
}

fn hints() -> Vec<CommandHint> {
    let of = |language| {
        menu(language)
            .into_iter()
            .map(move |(name, description)| CommandHint {
                language,
                name,
                description,
            })
    };
    Language::ALL.into_iter().flat_map(of).collect()
}
