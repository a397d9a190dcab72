//! `tertulia doctor`: is everything as it should be, one line each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use tertulia_config::{Account, Config, Model};
use tertulia_domain::{Clock, SystemClock};

use crate::configs::ConfigFile;
use crate::outcome::Done;
use crate::{configs, models, output, platforms, store};

/// An outside answer that takes longer is a finding of its own.
const PATIENCE: Duration = Duration::from_secs(20);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    subject: String,
    /// Whether it is as it should be.
    ok: bool,
    /// What was found.
    what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Looks at everything; fails if anything is not as it should be.
pub(crate) async fn run(file: &ConfigFile, json: bool) -> Done {
    let config = configs::read(file)?;
    let mut findings = vec![fine("config", "valid")];
    findings.push(clock());
    findings.push(storage(&config).await);
    for (name, model) in config.used_models() {
        findings.push(model_files(name, model).await);
    }
    for (name, account) in &config.accounts {
        findings.extend(accounts(name, account).await);
    }
    let sick = findings.iter().filter(|finding| !finding.ok).count();
    if json {
        output::result(&serde_json::to_string_pretty(&findings)?);
    } else {
        for Finding {
            subject,
            ok,
            what,
            remedy,
        } in &findings
        {
            let mark = if *ok { "ok  " } else { "FAIL" };
            let remedy = remedy
                .as_deref()
                .map(|r| format!(" — {r}"))
                .unwrap_or_default();
            output::result(&format!("{mark} {subject}: {what}{remedy}"));
        }
    }
    if sick > 0 {
        return Err(anyhow!("{sick} of {} need attention", findings.len()).into());
    }
    Ok(())
}

fn fine(subject: &str, what: impl Into<String>) -> Finding {
    Finding {
        subject: subject.to_owned(),
        ok: true,
        what: what.into(),
        remedy: None,
    }
}

fn sick(subject: &str, what: impl Into<String>, remedy: &str) -> Finding {
    let remedy = Some(remedy.to_owned());
    Finding {
        subject: subject.to_owned(),
        ok: false,
        what: what.into(),
        remedy,
    }
}

fn clock() -> Finding {
    // The build is certainly in the past.
    let now = SystemClock.now();
    if now.0 < 1_750_000_000_000 {
        return sick("clock", format!("it says {now}"), "set the machine's clock");
    }
    fine("clock", now.to_string())
}

async fn storage(config: &Config) -> Finding {
    if let Ok(storage) = store::beside(config).await {
        storage.close().await;
        return fine("storage", "opens, migrated");
    }
    match store::open(config).await {
        Ok(storage) => {
            storage.close().await;
            fine("storage", "opens, migrated")
        }
        Err(problem) => sick("storage", format!("{problem:#}"), "see storage.url"),
    }
}

async fn model_files(name: &str, model: &Model) -> Finding {
    let subject = format!("model {name}");
    match model {
        Model::Candle(section) => match models::present(&section.source) {
            Ok(true) => fine(&subject, format!("{} is here", section.source)),
            Ok(false) => {
                let pull = format!(
                    "it is fetched at the start, or: tertulia model pull {}",
                    section.source
                );
                Finding {
                    remedy: Some(pull),
                    ..fine(&subject, "not here yet")
                }
            }
            Err(problem) => sick(&subject, format!("{problem:#}"), "see its source"),
        },
        Model::OpenAi(section) => {
            let client = reqwest::Client::builder().timeout(PATIENCE).build();
            let Ok(client) = client else {
                return sick(&subject, "no HTTP client", "");
            };
            let url = format!("{}/models", section.base_url.trim_end_matches('/'));
            let mut request = client.get(url);
            if let Some(key) = &section.api_key {
                request = request.bearer_auth(secrecy::ExposeSecret::expose_secret(key));
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    fine(&subject, "the endpoint answers")
                }
                Ok(answer) if matches!(answer.status().as_u16(), 401 | 403) => {
                    sick(&subject, "the endpoint refuses the key", "see its api_key")
                }
                // Not every server lists its models; it is there all the same.
                Ok(answer) => fine(
                    &subject,
                    format!("the endpoint answers {}", answer.status()),
                ),
                Err(problem) => sick(
                    &subject,
                    problem.without_url().to_string(),
                    "see its base_url",
                ),
            }
        }
    }
}

async fn accounts(name: &str, account: &Account) -> Vec<Finding> {
    let subject = format!("account {name}");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match account {
        Account::Web(_) => vec![fine(&subject, "the web page")],
        Account::Discord(_) => {
            vec![sick(
                &subject,
                "Discord is not served by this version",
                "remove the account",
            )]
        }
        Account::Telegram(section) => {
            let telegram = match platforms::telegram(name.into(), section, clock) {
                Ok(telegram) => telegram,
                Err(problem) => return vec![sick(&subject, format!("{problem:#}"), "")],
            };
            match tokio::time::timeout(PATIENCE, telegram.doctor()).await {
                Ok(findings) => findings
                    .into_iter()
                    .map(|f| Finding {
                        subject: subject.clone(),
                        ok: f.ok,
                        what: f.what,
                        remedy: f.remedy,
                    })
                    .collect(),
                Err(_) => vec![sick(
                    &subject,
                    "no answer in time",
                    "see api_url and the network",
                )],
            }
        }
    }
}
