//! From the storage section to a store.

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use tertulia_config::Config;
use tertulia_storage_sqlite::SqliteStorage;

/// Opens the store of a config, for this process alone.
pub(crate) async fn open(config: &Config) -> anyhow::Result<SqliteStorage> {
    SqliteStorage::open(address(config)?)
        .await
        .context("cannot open the store (storage.url)")
}

/// Opens the store of a config beside the process that serves it.
pub(crate) async fn beside(config: &Config) -> anyhow::Result<SqliteStorage> {
    SqliteStorage::open_beside(address(config)?)
        .await
        .context("cannot open the store (storage.url)")
}

/// The address of the store, if this version can keep its data there.
pub(crate) fn address(config: &Config) -> anyhow::Result<&str> {
    let url = config.storage.url.expose_secret();
    if !url.starts_with("sqlite:") {
        // The address may carry a password, so it is not repeated.
        bail!("storage.url: this version keeps its data in SQLite; use sqlite:data/tertulia.db");
    }
    Ok(url)
}
