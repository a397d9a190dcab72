//! What can be asked on the command line, and the exit codes: 0 done, 1 failed, 2 wrong usage or
//! config.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bench::{self, BenchCommand};
use crate::configs::{self, ConfigCommand, ConfigFile};
use crate::models::{self, ModelCommand};
use crate::outcome::Failure;
use crate::people::{self, PersonCommand};
use crate::{backup, doctor, logging, output, serve, talk};

/// Wrong usage or config.
pub(crate) fn wrong_usage() -> ExitCode {
    ExitCode::from(2)
}

/// The chat service that communities run themselves.
#[derive(Parser)]
#[command(name = "tertulia", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigFile,
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
