//! `tertulia backup` and `tertulia restore`.

use std::path::Path;

use anyhow::Context;

use crate::configs::ConfigFile;
use crate::outcome::Done;
use crate::{configs, output, store};

/// Writes a consistent copy of the store, while it may be in use.
pub(crate) async fn backup(config: &ConfigFile, file: &Path) -> Done {
    let storage = store::beside(&configs::read(config)?).await?;
    let copied = storage.backup(file).await;
    storage.close().await;
    copied.context("no copy was made")?;
    output::say(&format!("Written to {}.", file.display()));
    Ok(())
}

/// Puts a copy in the place of the store, which must not be in use.
pub(crate) async fn restore(config: &ConfigFile, file: &Path) -> Done {
    let config = configs::read(config)?;
    let url = store::address(&config)?;
    let kept = tertulia_storage_sqlite::restore(url, file)
        .await
        .context("nothing was restored")?;
    output::say("Restored.");
    if let Some(kept) = kept {
        output::say(&format!(
            "What was there before is kept as {}.",
            kept.display()
        ));
    }
    Ok(())
}
