//! Hearing: from the first call to the last confirmed update.
//!
//! Invariant: an update is confirmed only after the intake took it. While polling, that is the
//! offset of the next poll; on a webhook, the answer 200.

use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use teloxide_core::payloads::AnswerCallbackQuery;
use teloxide_core::types::CallbackQueryId;
use tertulia_platform::{Intake, IntakeError, PlatformError, Update};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::settings::Mode;
use crate::telegram::{Hearing, Telegram};
use crate::translate::Translator;

/// What could be read of a batch: updates in their order, and what is to be done once they are in.
pub(crate) struct Batch {
    pub(crate) updates: Vec<Update>,
    /// The id of the last update.
    pub(crate) last: Option<i64>,
    callbacks: Vec<String>,
}

/// Lets the webhook in, until dropped.
struct Door<'a>(&'a Telegram);

// === impl Telegram ===

impl Telegram {
    pub(crate) async fn hear(
        &self,
        intake: Arc<dyn Intake>,
        stop: CancellationToken,
    ) -> Result<(), PlatformError> {
        let me = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            me = self.introduce() => me?,
        };
        tracing::info!(account = %self.account, bot = %me.username, "on telegram");
        let hearing = Arc::new(Hearing { me, intake });
        // Telegram may post before we know that the webhook is set.
        let _door = Door::open(self, &hearing);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = self.set_up() => {}
        }
        let heard = match &self.mode {
            Mode::Polling => self.poll(&hearing, &stop).await,
            Mode::Webhook { .. } => tokio::select! {
                biased;
                () = stop.cancelled() => Ok(()),
                error = self.mind_the_webhook() => Err(error),
            },
        };
        self.finish_answers().await;
        heard
    }

    /// Reads updates; what is none is passed over.
    pub(crate) fn read(&self, hearing: &Hearing, raws: &[Box<RawValue>]) -> Batch {
        let translator = Translator {
            account: &self.account,
            me: &hearing.me,
            now: self.clock.now(),
        };
        let mut batch = Batch {
            updates: Vec::with_capacity(raws.len()),
            last: None,
            callbacks: Vec::new(),
        };
        for raw in raws {
            let Some(translated) = translator.update(raw.get()) else {
                tracing::warn!(account = %self.account, "something that is no update");
                continue;
            };
            if translated.unreadable {
                tracing::warn!(
                    account = %self.account,
                    update = translated.id,
                    "an update that cannot be read"
                );
            }
            batch.last = Some(translated.id);
            batch.callbacks.extend(translated.callback);
            batch.updates.push(Update {
                account: self.account.clone(),
                key: translated.id.to_string(),
                raw: raw.get().to_owned(),
                event: translated.event,
                at: translator.now,
            });
        }
        batch
    }

    /// Hands a batch over; once it is taken it may be confirmed.
    pub(crate) async fn take(&self, hearing: &Hearing, batch: Batch) -> Result<(), IntakeError> {
        let count = batch.updates.len();
        if count > 0 {
            hearing.intake.accept(batch.updates).await?;
            self.count("tertulia_telegram_updates_total", count);
        }
        for query in batch.callbacks {
            self.answer(query);
        }
        Ok(())
    }

    /// Ends the waiting that a button shows, beside everything else and at most once.
    ///
    /// A query lives for 150 s only; that it is too old by now is no news.
    fn answer(&self, query: String) {
        let Ok(permit) = self.answers.clone().try_acquire_owned() else {
            return;
        };
        let answer = AnswerCallbackQuery::new(CallbackQueryId(query));
        let (api, account) = (self.api.clone(), self.account.clone());
        self.tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = api.send::<_, IgnoredAny>(&answer).await
                && !error.description().contains("query is too old")
            {
                tracing::debug!(%account, %error, "a callback query stays unanswered");
            }
        });
    }

    async fn finish_answers(&self) {
        self.tasks.close();
        let finished = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        if finished.is_err() {
            tracing::debug!(account = %self.account, "left callback queries unanswered");
        }
        self.tasks.reopen();
    }
}

// === impl Door ===

impl<'a> Door<'a> {
    fn open(telegram: &'a Telegram, hearing: &Arc<Hearing>) -> Self {
        telegram.set_hearing(Some(hearing.clone()));
        Self(telegram)
    }
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        self.0.set_hearing(None);
    }
}

/// Waits, unless it is time to stop; says whether it is.
pub(crate) async fn paused(stop: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => true,
        () = tokio::time::sleep(pause) => false,
    }
}

/// The pauses after network trouble.
pub(crate) fn after_trouble() -> Backoff {
    Backoff::new(Duration::from_millis(500), Duration::from_secs(20))
}
