//! `tertulia bench`: the figures of the README, as a table or as JSON.

use std::io::IsTerminal;
use std::time::Instant;

use clap::Subcommand;
use serde_json::json;
use tertulia_config::{CandleModel, DEFAULT_SOURCE};
use tertulia_inference_candle::bench::bench;

use crate::outcome::Done;
use crate::{models, output};

/// `tertulia bench`.
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

/// How fast a local model reads and writes.
pub(crate) async fn model(source: Option<&str>, json: bool) -> Done {
    let source = source.unwrap_or(DEFAULT_SOURCE);
    let section = CandleModel {
        source: source.to_owned(),
        ..CandleModel::default()
    };
    let begun = Instant::now();
    let model = models::load("bench", &section).await?;
    let loaded = begun.elapsed().as_secs_f64();
    if std::io::stderr().is_terminal() {
        output::say("Measuring, this takes about a minute.");
    }
    let report = bench(&model).await?;
    if json {
        let rates = |rates: &[(usize, f64)]| {
            rates
                .iter()
                .map(|(size, rate)| json!({ "size": size, "tokens_per_second": rate }))
                .collect::<Vec<_>>()
        };
        let value = json!({
            "model": source,
            "load_seconds": loaded,
            "prompts": rates(&report.prompts),
            "replies": rates(&report.replies),
        });
        output::result(&serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    output::result(&format!("| {source} | tokens per second |\n| --- | --- |"));
    for (tokens, rate) in &report.prompts {
        output::result(&format!("| prompt of {tokens} tokens | {rate:.0} |"));
    }
    for (conversations, rate) in &report.replies {
        output::result(&format!(
            "| replies, {conversations} at once, together | {rate:.0} |"
        ));
    }
    output::result(&format!("| loading | {loaded:.2} s |"));
    Ok(())
}
