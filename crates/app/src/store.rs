//! From the storage section to a store.

use std::sync::Arc;

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use tertulia_config::Config;
use tertulia_storage::Storage;
use tertulia_storage_sqlite::SqliteStorage;

/// Opens the store of a config.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Arc<dyn Storage>> {
    Ok(Arc::new(sqlite(config).await?))
}

/// Opens the SQLite store of a config.
pub(crate) async fn sqlite(config: &Config) -> anyhow::Result<SqliteStorage> {
    let url = config.storage.url.expose_secret();
    if !url.starts_with("sqlite:") {
        // The address may carry a password, so it is not repeated.
        bail!("storage.url: this version keeps its data in SQLite; use sqlite:data/tertulia.db");
    }
    SqliteStorage::open(url)
        .await
        .context("cannot open the store (storage.url)")
}
