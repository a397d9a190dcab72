//! Tertulia: the composition root.
//!
//! The only place where parts meet: it reads the config, builds the parts, starts, reloads and
//! drains them, and therefore decides little. Read `cli` for what can be asked, `serve` for how
//! the service comes up and goes down, `reload` for what happens when the config changes.

mod backup;
mod bench;
mod cli;
mod configs;
mod doctor;
mod endings;
mod history;
mod logging;
mod models;
mod outcome;
mod output;
mod people;
mod platforms;
mod reload;
mod serve;
mod settings;
mod store;
mod talk;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results, everything else is wrong usage.
            let wrong = error.use_stderr();
            let _ = error.print();
            return if wrong {
                cli::wrong_usage()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli.run());
    // Threads that wait for a terminal never end by themselves.
    runtime.shutdown_background();
    code
}
