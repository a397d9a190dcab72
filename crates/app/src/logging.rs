//! Logs: for people on a terminal, JSON elsewhere; `RUST_LOG` chooses.
//!
//! Invariant: no message text and no secret is ever a field of a log line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// Starts logging to stderr: what happens while serving, only warnings for a single command.
pub(crate) fn start(serving: bool) {
    let default = if serving { "info,notify=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().init();
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .init();
    }
}
