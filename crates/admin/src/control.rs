//! What the house can be asked to do by its operators.

use async_trait::async_trait;
use serde::Serialize;
use tertulia_domain::Timestamp;

/// The house, as operators see it.
#[async_trait]
pub trait Control: Send + Sync {
    /// Reads the config files again and puts them into effect.
    ///
    /// # Errors
    /// Everything that is wrong with them; the config in effect stays.
    async fn reload(&self) -> Result<Reloaded, Vec<Fault>>;

    /// Why the house cannot serve now; nothing when it can.
    async fn reasons(&self) -> Vec<String>;

    /// The config in effect; its secrets are hidden already.
    fn config(&self) -> serde_json::Value;

    /// What was in effect since the start, latest first.
    fn versions(&self) -> Vec<Version>;
}

/// A config that was put into effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Its number.
    pub version: u64,
    /// The keys that have another value now.
    pub changed: Vec<String>,
    /// Those of them that wait for a restart.
    pub restart_required: Vec<String>,
}

/// Something wrong in a config file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The key.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

/// A config that was in effect at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// Since when.
    pub at: Timestamp,
    /// What brought it: `start`, `file`, `signal`, `api` or `chat`.
    pub by: String,
    /// The keys that changed with it.
    pub changed: Vec<String>,
}
