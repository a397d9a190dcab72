//! Waiting for a store that is away (promise G8): nothing is given up, nothing is spun on.

use std::time::Duration;

use tertulia_storage::StorageError;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Halt {
    /// We were told to end; the store still holds what is to be done.
    Ended,
    /// The store will not do it, however often it is asked.
    Impossible(StorageError),
}

/// Asks the store until it answers, with growing pauses, or until `end`.
pub(crate) async fn patiently<T, F, Fut>(
    end: &CancellationToken,
    what: &'static str,
    mut ask: F,
) -> Result<T, Halt>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StorageError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_transient() => {
                warn!(what, error = describe(&error), "the store is away, waiting");
            }
            Err(error) => {
                error!(what, error = describe(&error), "the store refuses");
                return Err(Halt::Impossible(error));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = end.cancelled() => return Err(Halt::Ended),
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
