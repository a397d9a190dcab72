//! A config for other eyes: shown without its secrets, described by a schema, compared.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use crate::config::Config;
use crate::section::account::Account;
use crate::section::model::Model;

/// The commented example; `tertulia config init` writes it.
pub const EXAMPLE: &str = include_str!("../../../config/example.toml");

/// Keys that another config changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// All of them, as `accounts.telegram.token`; a section that came or went as a whole is one.
    pub changed: Vec<String>,
    /// Those of them that count from the next start on.
    pub restart_required: Vec<String>,
}

/// Keys of an account that its connection is made of.
const CONNECTION: [&str; 7] = [
    "platform",
    "token",
    "api_url",
    "mode",
    "webhook_url",
    "webhook_secret",
    "shards",
];

impl Config {
    /// The effective config as TOML, secrets hidden.
    pub fn shown(&self) -> String {
        toml::to_string_pretty(self).expect("every section is a table")
    }

    /// The effective config as JSON, secrets hidden.
    pub fn shown_json(&self) -> Value {
        serde_json::to_value(self).expect("every key is a string")
    }

    /// What changes when `new` takes the place of this one.
    pub fn diff(&self, new: &Self) -> Changes {
        let mut changed = BTreeSet::new();
        compare("", &self.shown_json(), &new.shown_json(), &mut changed);
        let (old, new) = (self.secrets(), new.secrets());
        for (key, secret) in &new {
            // Secrets that came or went show in the comparison above.
            if old.get(key).is_some_and(|before| before != secret) {
                changed.insert(key.clone());
            }
        }
        let restart_required = changed
            .iter()
            .filter(|key| needs_restart(key))
            .cloned()
            .collect();
        Changes {
            changed: changed.into_iter().collect(),
            restart_required,
        }
    }

    /// Every secret by its key.
    fn secrets(&self) -> BTreeMap<String, &str> {
        let mut secrets = vec![
            (
                "server.admin_token".to_owned(),
                self.server.admin_token.as_ref(),
            ),
            ("storage.url".to_owned(), Some(&self.storage.url)),
            ("storage.redis".to_owned(), self.storage.redis.as_ref()),
        ];
        for (name, account) in &self.accounts {
            let token = format!("accounts.{name}.token");
            match account {
                Account::Telegram(account) => {
                    secrets.push((token, Some(&account.token)));
                    let key = format!("accounts.{name}.webhook_secret");
                    secrets.push((key, account.webhook_secret.as_ref()));
                }
                Account::Discord(account) => secrets.push((token, Some(&account.token))),
                Account::Web(_) => {}
            }
        }
        for (name, model) in &self.models {
            if let Model::OpenAi(model) = model {
                secrets.push((format!("models.{name}.api_key"), model.api_key.as_ref()));
            }
        }
        for (name, key) in &self.api_keys {
            secrets.push((format!("api_keys.{name}"), Some(key)));
        }
        let there = secrets
            .into_iter()
            .filter_map(|(key, secret)| Some((key, secret?)));
        there
            .map(|(key, secret)| (key, secret.expose_secret()))
            .collect()
    }
}

/// The schema of the file, for editors.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Config>()
        .into()
}

/// Collects the keys whose values differ.
fn compare(key: &str, old: &Value, new: &Value, changed: &mut BTreeSet<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                match (old.get(name), new.get(name)) {
                    (Some(old), Some(new)) => compare(&key, old, new, changed),
                    _ => {
                        changed.insert(key);
                    }
                }
            }
        }
        _ if old == new => {}
        _ => {
            changed.insert(key.to_owned());
        }
    }
}

/// Whether a change of this key waits for the next start: listeners, stores and connections are
/// made once.
fn needs_restart(key: &str) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    match parts.as_slice() {
        ["server", key] => ["listen", "lanes", "watch"].contains(key),
        ["storage", ..] | ["accounts", _] => true,
        ["accounts", _, key, ..] => CONNECTION.contains(key),
        _ => false,
    }
}
