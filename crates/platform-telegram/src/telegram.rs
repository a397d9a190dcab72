//! One account on Telegram, and how it serves as a platform.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tertulia_domain::{AccountId, Clock, Place, PlatformMessageId, Styled};
use tertulia_markup::Dialect;
use tertulia_platform::{
    Capabilities, DeliverError, Intake, Outgoing, Platform, PlatformError, Preview, Settled,
    Streaming, Traces,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Api, ApiError};
use crate::drafts::Drafts;
use crate::flow::{Flow, Limits};
use crate::letter::Address;
use crate::settings::{CommandMenu, Mode, TelegramSettings};
use crate::translate::Me;

/// Callback queries that are being answered at one time; beyond it a wheel turns on for a while.
const ANSWERS_MAX: usize = 32;

/// One account on Telegram.
pub struct Telegram {
    pub(crate) account: AccountId,
    pub(crate) api: Arc<Api>,
    pub(crate) mode: Mode,
    pub(crate) commands: Vec<CommandMenu>,
    pub(crate) poll: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) flow: Flow,
    pub(crate) drafts: Drafts,
    /// Who we are and where updates go; only while [`Platform::run`] runs.
    hearing: Mutex<Option<Arc<Hearing>>>,
    /// Cancelled when the server refused our token in the middle of something.
    pub(crate) refused: CancellationToken,
    /// What goes on beside: answers to callback queries.
    pub(crate) tasks: TaskTracker,
    pub(crate) answers: Arc<Semaphore>,
}

/// Who hears, and for whom.
pub(crate) struct Hearing {
    pub(crate) me: Me,
    pub(crate) intake: Arc<dyn Intake>,
}

// === impl Telegram ===

impl Telegram {
    /// Makes the account ready; nothing is sent before [`Platform::run`].
    ///
    /// # Errors
    /// If an address, the token or the webhook's secret cannot be right.
    pub fn new(
        settings: TelegramSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, PlatformError> {
        if let Mode::Webhook { url, secret } = &settings.mode {
            check_webhook(url, secret)?;
        }
        Ok(Arc::new(Self {
            api: Arc::new(Api::new(&settings.api_url, settings.token)?),
            account: settings.account,
            mode: settings.mode,
            commands: settings.commands,
            poll: settings
                .poll
                .clamp(Duration::from_secs(1), TelegramSettings::POLL_MAX),
            clock,
            flow: Flow::new(Limits::default()),
            drafts: Drafts::default(),
            hearing: Mutex::new(None),
            refused: CancellationToken::new(),
            tasks: TaskTracker::new(),
            answers: Arc::new(Semaphore::new(ANSWERS_MAX)),
        }))
    }

    /// Who hears at present.
    pub(crate) fn hearing(&self) -> Option<Arc<Hearing>> {
        let hearing = self.hearing.lock();
        hearing.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_hearing(&self, now: Option<Arc<Hearing>>) {
        *self.hearing.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Counts something that happened in this account.
    pub(crate) fn count(&self, name: &'static str, by: usize) {
        metrics::counter!(name, "account" => self.account.to_string()).increment(by as u64);
    }

    /// Raises the alarm if the server refuses our token, whatever it was that we asked for.
    pub(crate) fn watch(&self, error: &ApiError) {
        if error.is_unauthorized() && !self.refused.is_cancelled() {
            tracing::error!(account = %self.account, "telegram refuses the token");
            self.refused.cancel();
        }
    }
}

#[async_trait]
impl Platform for Telegram {
    fn account(&self) -> &AccountId {
        &self.account
    }

    fn capabilities(&self, place: &Place) -> Capabilities {
        let group = Address::of(place).is_ok_and(Address::is_group);
        let streaming = if group {
            // Twenty a minute, and some room for the final text.
            Streaming::Edits {
                every: Duration::from_secs(3),
            }
        } else if self.drafts.are_known() {
            Streaming::Preview {
                every: Duration::from_millis(400),
            }
        } else {
            Streaming::Edits {
                every: Duration::from_millis(1200),
            }
        };
        Capabilities {
            streaming,
            buttons: true,
            typing_every: Some(Duration::from_secs(4)),
            // Clients split at 4096, at the last space before it.
            split_at: Some(4000),
        }
    }

    fn compose(&self, markdown: &str) -> Vec<Styled> {
        tertulia_markup::parts(markdown, &Dialect::TELEGRAM)
    }

    async fn run(
        &self,
        intake: Arc<dyn Intake>,
        stop: CancellationToken,
    ) -> Result<(), PlatformError> {
        self.hear(intake, stop).await
    }

    async fn deliver(&self, outgoing: &Outgoing) -> Result<PlatformMessageId, DeliverError> {
        self.place(outgoing).await
    }

    async fn settle(&self, outgoing: &Outgoing, traces: &Traces) -> Result<Settled, DeliverError> {
        self.probe(outgoing, traces).await
    }

    async fn preview(&self, preview: &Preview) -> Result<(), DeliverError> {
        self.show(preview).await
    }
}

fn check_webhook(url: &str, secret: &SecretString) -> Result<(), PlatformError> {
    let secret = secret.expose_secret();
    let secret_fits = (1..=256).contains(&secret.len())
        && secret
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let url_fits = reqwest::Url::parse(url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && !url.cannot_be_a_base());
    let problem = if !secret_fits {
        "webhook_secret must be 1 to 256 letters, digits, _ or -"
    } else if !url_fits {
        "webhook_url is not a web address"
    } else {
        return Ok(());
    };
    Err(PlatformError::Misconfigured(problem.to_owned()))
}
