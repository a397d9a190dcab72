//! Reading the config, and `tertulia check` and `tertulia config`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use tertulia_admin::Fault;
use tertulia_config::{Config, EXAMPLE, Env, Problem, Problems, schema};

use crate::outcome::{Done, Failure};
use crate::output;

/// Which config file to use.
#[derive(Args, Clone, Default)]
pub(crate) struct ConfigFile {
    /// The config file [default: config/tertulia.toml if it is there, else built-in defaults]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// `tertulia config`.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Writes the commented example to config/tertulia.toml, or to FILE
    Init {
        /// Where to
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
    },
    /// Prints the effective config, its secrets hidden
    Show(ConfigFile),
    /// Prints the JSON schema
    Schema,
}

/// Read when no other file is named and it is there.
pub(crate) const DEFAULT_FILE: &str = "config/tertulia.toml";

/// The file to read; none for the built-in defaults.
pub(crate) fn file(named: &ConfigFile) -> Option<PathBuf> {
    named.config.clone().or_else(|| {
        let default = PathBuf::from(DEFAULT_FILE);
        default.exists().then_some(default)
    })
}

/// Reads the config.
///
/// Without a named file the default one counts as soon as it is there, so that a config written
/// while the service runs is found by its next reload.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, Problems> {
    let env = Env::of_process();
    match file {
        Some(file) => tertulia_config::load(file, &env),
        None if Path::new(DEFAULT_FILE).exists() => {
            tertulia_config::load(Path::new(DEFAULT_FILE), &env)
        }
        None => Config::default_for(&env),
    }
}

/// The effective config, its secrets hidden.
pub(crate) fn shown(config: &Config) -> serde_json::Value {
    config.shown_json()
}

/// A problem as the HTTP face tells it.
pub(crate) fn fault(problem: &Problem) -> Fault {
    Fault {
        file: problem.file.clone(),
        line: u32::try_from(problem.line).unwrap_or(u32::MAX),
        column: u32::try_from(problem.column).unwrap_or(u32::MAX),
        key: problem.key.clone(),
        message: problem.message.clone(),
    }
}

/// Reads the config that a command was given.
pub(crate) fn read(named: &ConfigFile) -> Result<Config, Failure> {
    load(file(named).as_deref()).map_err(|problems| Failure::Config(problems.to_string()))
}

/// `tertulia check`.
pub(crate) fn check(named: &ConfigFile) -> Done {
    let file = file(named);
    match load(file.as_deref()) {
        Ok(_) => {
            let what = file.map_or("the built-in defaults".to_owned(), |f| {
                f.display().to_string()
            });
            output::say(&format!("{what}: valid"));
            Ok(())
        }
        Err(problems) => {
            for problem in &problems.0 {
                output::result(&problem.to_string());
            }
            let count = problems.0.len();
            let noun = if count == 1 { "problem" } else { "problems" };
            Err(Failure::Config(format!("{count} {noun}")))
        }
    }
}

/// `tertulia config`.
pub(crate) fn run(command: &ConfigCommand) -> Done {
    match command {
        ConfigCommand::Init { file } => init(file)?,
        ConfigCommand::Show(named) => output::result(&read(named)?.shown()),
        ConfigCommand::Schema => output::result(&serde_json::to_string_pretty(&schema())?),
    }
    Ok(())
}

/// Writes the commented example where nothing is yet.
fn init(file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut written = match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; it is left as it is", file.display())
        }
        Err(error) => return Err(error).context(format!("cannot write {}", file.display())),
    };
    written.write_all(EXAMPLE.as_bytes())?;
    output::say(&format!(
        "Written to {}; edit it, then: tertulia check",
        file.display()
    ));
    Ok(())
}
