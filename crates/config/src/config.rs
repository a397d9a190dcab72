//! The whole of a config.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::section::access::Roles;
use crate::section::account::Account;
use crate::section::limits::Limits;
use crate::section::model::Model;
use crate::section::persona::Persona;
use crate::section::server::Server;
use crate::section::storage::Storage;
use crate::value::secret;

/// The name of the persona that answers where none is named; it is always there.
pub const DEFAULT_PERSONA: &str = "default";

/// What Tertulia is told by its config file.
///
/// Invariant: one that came from [`crate::parse`] or [`crate::load()`] is valid: every name in it
/// stands for something in it, and every persona has a model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Tertulia")]
pub struct Config {
    /// The process itself.
    pub server: Server,
    /// Where everything is kept, and for how long.
    pub storage: Storage,
    /// Bot identities on platforms, by name.
    pub accounts: BTreeMap<String, Account>,
    /// What answers, by name.
    pub models: BTreeMap<String, Model>,
    /// Who answers, and how, by name.
    pub personas: BTreeMap<String, Persona>,
    /// How much people and chats may use.
    pub limits: Limits,
    /// Who may do more than others.
    pub roles: Roles,
    /// Keys of programs that use the OpenAI-compatible API, by the program's name.
    #[serde(with = "secret::map")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub api_keys: BTreeMap<String, SecretString>,
}

impl Config {
    /// The models that a persona names; the others need not be loaded.
    pub fn used_models(&self) -> BTreeMap<&str, &Model> {
        let named: BTreeSet<&String> = self
            .personas
            .values()
            .flat_map(|persona| &persona.models)
            .collect();
        let models = self.models.iter();
        models
            .filter(|(name, _)| named.contains(name))
            .map(|(n, m)| (n.as_str(), m))
            .collect()
    }
}
