//! The terminal as a chat platform: one person, one chat, text as it comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tertulia_domain::{AccountId, Ask, Place, PlatformMessageId, Styled, Turn, TurnEnd, TurnState};
use tertulia_platform::{
    Capabilities, DeliverError, Intake, Outgoing, Platform, PlatformError, Preview, Settled,
    Streaming, Traces,
};
use tertulia_storage::Storage;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::output;

/// The account's name; there is no other in a terminal.
pub(crate) const ACCOUNT: &str = "terminal";

/// That an answer is on the screen, or the words for which there is none.
pub(crate) type Answer = Result<(), String>;

/// Shows one answer after the other on stdout.
pub(crate) struct Terminal {
    account: AccountId,
    /// What of the present answer is on the screen.
    shown: Mutex<String>,
    /// Knows how a turn ended.
    storage: Arc<dyn Storage>,
    /// Told at the end of each answer; without one, why there is none.
    done: mpsc::UnboundedSender<Answer>,
}

// === impl Terminal ===

impl Terminal {
    /// A terminal that tells `done` at the end of each answer.
    pub(crate) fn new(storage: Arc<dyn Storage>, done: mpsc::UnboundedSender<Answer>) -> Arc<Self> {
        Arc::new(Self {
            account: ACCOUNT.into(),
            shown: Mutex::default(),
            storage,
            done,
        })
    }

    /// Shows the text as far as it is not on the screen yet.
    ///
    /// What is on the screen cannot be taken back: a text that begins otherwise begins anew on a
    /// line of its own.
    fn show(&self, text: &str) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match text.strip_prefix(shown.as_str()) {
            Some(more) => output::stream(more),
            None => output::stream(&format!("\n{text}")),
        }
        text.clone_into(&mut shown);
    }
}

impl Terminal {
    /// Whether what we say to this turn is only why there is no answer, or no more of it.
    fn is_unanswered(&self, turn: &Turn) -> bool {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match (turn.state, &turn.ask) {
            (_, Ask::Command(command)) if command.name == "stop" => true,
            (TurnState::Ended(TurnEnd::Failed | TurnEnd::Refused), _) => true,
            (TurnState::Ended(TurnEnd::Cancelled), _) => shown.is_empty(),
            _ => false,
        }
    }
}

#[async_trait]
impl Platform for Terminal {
    fn account(&self) -> &AccountId {
        &self.account
    }

    fn capabilities(&self, _: &Place) -> Capabilities {
        Capabilities {
            streaming: Streaming::Preview {
                every: Duration::from_millis(15),
            },
            buttons: false,
            typing_every: None,
            split_at: None,
        }
    }

    fn compose(&self, markdown: &str) -> Vec<Styled> {
        vec![Styled::plain(markdown)]
    }

    async fn run(&self, _: Arc<dyn Intake>, stop: CancellationToken) -> Result<(), PlatformError> {
        stop.cancelled().await;
        Ok(())
    }

    async fn deliver(&self, outgoing: &Outgoing) -> Result<PlatformMessageId, DeliverError> {
        let text = &outgoing.content.text;
        let turn = self.storage.turn(outgoing.turn).await;
        let turn = turn.map_err(|error| DeliverError::Again {
            after: Duration::from_millis(100),
            source: Box::new(error),
        })?;
        let unanswered = turn.is_some_and(|turn| self.is_unanswered(&turn));
        if !unanswered {
            self.show(text);
            output::stream("\n");
        }
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let answer = if unanswered {
            Err(text.clone())
        } else {
            Ok(())
        };
        // Nobody listens any more only when the program ends.
        let _ = self.done.send(answer);
        Ok(PlatformMessageId::from(outgoing.delivery.to_string()))
    }

    async fn settle(&self, _: &Outgoing, _: &Traces) -> Result<Settled, DeliverError> {
        Ok(Settled::Absent)
    }

    async fn preview(&self, preview: &Preview) -> Result<(), DeliverError> {
        if let Some(text) = &preview.text {
            self.show(text.trim());
        }
        Ok(())
    }
}
