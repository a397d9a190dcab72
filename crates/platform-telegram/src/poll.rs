//! Hearing by asking: the loop around `getUpdates`.
//!
//! Invariant: the offset moves only past what the intake took, and never below zero, as a
//! negative offset would throw away what waits.

use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;
use tertulia_platform::PlatformError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::ApiError;
use crate::backoff::Backoff;
use crate::hear::{after_trouble, paused};
use crate::telegram::{Hearing, Telegram};
use crate::translate::ALLOWED_UPDATES;

/// What a poll may take beyond its own time before it counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// An empty answer that comes sooner was not waited for, and is not asked for again at once.
const TOO_SOON: Duration = Duration::from_millis(100);

/// A request that is this old has reached the server, whether or not it was answered.
const ARRIVED: Duration = Duration::from_secs(1);

/// Trouble with polling, each kind with its own pauses.
struct Patience {
    trouble: Backoff,
    conflict: Backoff,
    storage: Backoff,
}

// === impl Telegram ===

impl Telegram {
    /// Polls until `stop`; the poll in flight is dropped then, as it confirms nothing new.
    pub(crate) async fn poll(
        &self,
        hearing: &Arc<Hearing>,
        stop: &CancellationToken,
    ) -> Result<(), PlatformError> {
        let mut patience = Patience {
            trouble: after_trouble(),
            conflict: Backoff::new(Duration::from_secs(3), Duration::from_secs(60)),
            storage: Backoff::new(Duration::from_millis(250), Duration::from_secs(10)),
        };
        let mut offset = None;
        // Whether the server knows our offset yet.
        let mut told = true;
        loop {
            let asked = Instant::now();
            let answer = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    told |= asked.elapsed() >= ARRIVED;
                    break;
                }
                () = self.refused.cancelled() => return Err(unauthorized()),
                answer = self.updates(offset) => answer,
            };
            let pause = match answer {
                Ok(raws) => {
                    told = true;
                    patience.trouble.reset();
                    patience.conflict.reset();
                    let batch = self.read(hearing, &raws);
                    let last = batch.last;
                    match self.take(hearing, batch).await {
                        Ok(()) => {
                            patience.storage.reset();
                            if let Some(last) = last {
                                offset = Some(last.saturating_add(1).max(0));
                                told = false;
                                continue;
                            }
                            if asked.elapsed() >= TOO_SOON {
                                continue;
                            }
                            patience.trouble.pause()
                        }
                        Err(error) => {
                            let pause = patience.storage.pause();
                            tracing::error!(account = %self.account, ?pause, cause = %error.0,
                                "updates are left with telegram, as they cannot be stored");
                            pause
                        }
                    }
                }
                Err(error) => self.polled_badly(&error, &mut patience).await?,
            };
            if paused(stop, pause).await {
                break;
            }
        }
        if let (Some(offset), false) = (offset, told) {
            self.confirm(offset).await;
        }
        Ok(())
    }

    async fn updates(&self, offset: Option<i64>) -> Result<Vec<Box<RawValue>>, ApiError> {
        let mut body = json!({
            "limit": 100,
            "timeout": self.poll.as_secs(),
            "allowed_updates": ALLOWED_UPDATES,
        });
        if let Some(offset) = offset {
            body["offset"] = offset.into();
        }
        let limit = self.poll + STALLED_AFTER;
        self.api.call("getUpdates", &body, limit).await
    }

    /// What to do after a poll that failed: how long to wait, unless there is nothing to hope for.
    async fn polled_badly(
        &self,
        error: &ApiError,
        patience: &mut Patience,
    ) -> Result<Duration, PlatformError> {
        let account = &self.account;
        self.watch(error);
        if self.refused.is_cancelled() {
            return Err(unauthorized());
        }
        if let Some(pause) = error.retry_after() {
            self.count("tertulia_telegram_floods_total", 1);
            return Ok(pause);
        }
        Ok(match error {
            ApiError::Silent => {
                self.count("tertulia_telegram_stalls_total", 1);
                tracing::warn!(%account, "a poll stalled and is opened anew");
                Duration::ZERO
            }
            ApiError::Refused {
                code: 409,
                description,
                ..
            } => {
                self.count("tertulia_telegram_conflicts_total", 1);
                let pause = patience.conflict.pause();
                tracing::error!(%account, description, ?pause,
                    "somebody else hears for this account; only one may");
                if description.contains("webhook") {
                    self.leave_webhook().await;
                }
                pause
            }
            error => {
                let pause = patience.trouble.pause();
                tracing::warn!(%account, %error, ?pause, "cannot hear");
                pause
            }
        })
    }

    /// Confirms what was taken before we go, so that a restart hears nothing twice.
    ///
    /// It may fetch an update that is then not taken, nor confirmed: it comes again.
    async fn confirm(&self, offset: i64) {
        let body = json!({"offset": offset, "limit": 1, "timeout": 0});
        let limit = Duration::from_secs(1);
        if let Err(error) = self
            .api
            .call::<_, IgnoredAny>("getUpdates", &body, limit)
            .await
        {
            tracing::debug!(account = %self.account, %error, "the last updates will come again");
        }
    }
}

fn unauthorized() -> PlatformError {
    PlatformError::Unauthorized("refused while serving".into())
}
