//! What can be asked on the command line, and the exit codes: 0 done, 1 failed, 2 wrong usage or
//! config.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{backup, bench, configs, doctor, logging, models, output, people, serve, talk};

/// Wrong usage or config.
pub(crate) fn wrong_usage() -> ExitCode {
    ExitCode::from(2)
}

/// The chat service that communities run themselves.
#[derive(Parser)]
#[command(
    name = "tertulia",
    version,
    about,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigFile,
}

/// Which config file to use.
#[derive(Args, Clone, Default)]
pub(crate) struct ConfigFile {
    /// The config file [default: config/tertulia.toml if it is there, else built-in defaults]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service in the foreground
    Serve(ConfigFile),
    /// Talks in the terminal; with TEXT answers once and ends
    Chat {
        #[command(flatten)]
        config: ConfigFile,
        /// The persona that answers
        #[arg(long, value_name = "NAME")]
        persona: Option<String>,
        /// What to answer
        text: Vec<String>,
    },
    /// Validates the config and prints every problem with its place
    Check(ConfigFile),
    /// Checks tokens, database, models and clock, one line each
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        /// Prints the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Writes the commented example, prints the effective config or the schema
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Lists, downloads and checks local models
    #[command(subcommand)]
    Model(ModelCommand),
    /// Exports or erases what is stored about a person
    #[command(subcommand)]
    Person(PersonCommand),
    /// Writes a consistent copy of the store
    Backup {
        #[command(flatten)]
        config: ConfigFile,
        /// Where to
        file: PathBuf,
    },
    /// Puts a copy in the place of the store
    Restore {
        #[command(flatten)]
        config: ConfigFile,
        /// The copy
        file: PathBuf,
    },
    /// Measures
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Writes the commented example to config/tertulia.toml, or to FILE
    Init {
        /// Where to
        #[arg(default_value = configs::DEFAULT_FILE)]
        file: PathBuf,
    },
    /// Prints the effective config, its secrets hidden
    Show(ConfigFile),
    /// Prints the JSON schema
    Schema,
}

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

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// How fast a local model reads and writes
    Model {
        /// A catalogue name or path [default: the default model]
        name: Option<String>,
        /// Prints the figures as JSON
        #[arg(long)]
        json: bool,
    },
}

// === impl Cli ===

impl Cli {
    /// Does what was asked.
    pub(crate) async fn run(self) -> ExitCode {
        let command = self.command.unwrap_or(Command::Serve(self.config));
        logging::start(matches!(command, Command::Serve(_)));
        let done = match command {
            Command::Serve(config) => serve::run(&config).await,
            Command::Chat {
                config,
                persona,
                text,
            } => talk::run(&config, persona.as_deref(), &text.join(" ")).await,
            Command::Check(config) => configs::check(&config),
            Command::Doctor { config, json } => doctor::run(&config, json).await,
            Command::Config(command) => configs::run(&command),
            Command::Model(command) => models::run(&command).await,
            Command::Person(command) => people::run(&command).await,
            Command::Backup { config, file } => backup::backup(&config, &file).await,
            Command::Restore { config, file } => backup::restore(&config, &file).await,
            Command::Bench(BenchCommand::Model { name, json }) => {
                bench::model(name.as_deref(), json).await
            }
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Config(problems)) => {
                output::say(problems.trim_end());
                wrong_usage()
            }
            Err(Failure::Other(error)) => {
                output::fail(&error);
                ExitCode::FAILURE
            }
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The config has these problems, one a line.
    Config(String),
    /// Anything else.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// What a command comes to.
pub(crate) type Done = Result<(), Failure>;
