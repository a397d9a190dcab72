//! `[storage]`: where everything is kept, and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::value::{duration, secret};

/// Where everything is kept, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// `sqlite:PATH` or `postgres://user:password@host/db`; a secret, for it may hold a password.
    #[serde(with = "secret::address")]
    #[schemars(with = "String")]
    pub url: SecretString,
    /// `redis://host/0`, for more than one instance; a secret, for it may hold a password.
    #[serde(
        with = "secret::address::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub redis: Option<SecretString>,
    /// How long transcripts are kept; 0 for ever.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub retention: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            url: SecretString::from("sqlite:data/tertulia.db"),
            redis: None,
            retention: Duration::from_secs(365 * 86_400),
        }
    }
}
