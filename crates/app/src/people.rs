//! `tertulia person`.

use anyhow::Context;
use clap::Subcommand;
use tertulia_domain::PersonId;
use tertulia_storage::People;

use crate::configs::ConfigFile;
use crate::outcome::Done;
use crate::{configs, output, store};

/// `tertulia person`.
#[derive(Subcommand)]
pub(crate) enum PersonCommand {
    /// Prints everything stored about a person as JSON
    Export {
        #[command(flatten)]
        config: ConfigFile,
        /// The person, as platform:id
        id: String,
    },
    /// Erases everything stored about a person
    Forget {
        #[command(flatten)]
        config: ConfigFile,
        /// The person, as platform:id
        id: String,
    },
}

pub(crate) async fn run(command: &PersonCommand) -> Done {
    let (PersonCommand::Export { config, id } | PersonCommand::Forget { config, id }) = command;
    let config = configs::read(config)?;
    let person: PersonId = id.parse().context("which person?")?;
    let storage = store::beside(&config).await?;
    match command {
        PersonCommand::Export { .. } => {
            let value = storage.export(&person).await?;
            output::result(&serde_json::to_string_pretty(&value)?);
        }
        PersonCommand::Forget { .. } => {
            let rows = storage.forget(&person, None).await?;
            output::say(&format!(
                "Erased everything stored about {person} ({rows} rows)."
            ));
        }
    }
    storage.close().await;
    Ok(())
}
