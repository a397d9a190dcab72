//! `[server]`: the process itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::value::{duration, listen, secret};

/// The process itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The address of the page and the API.
    #[serde(deserialize_with = "listen::deserialize")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The key of admins; without one they are served from this machine only.
    #[serde(with = "secret::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub admin_token: Option<SecretString>,
    /// How long a stop waits for answers in progress.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub drain: Duration,
    /// Whether a saved change of the file is applied by itself.
    pub watch: bool,
    /// How many conversations are answered at the same time.
    pub lanes: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            admin_token: None,
            drain: Duration::from_secs(10),
            watch: true,
            lanes: 64,
        }
    }
}
