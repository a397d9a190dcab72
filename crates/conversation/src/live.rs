//! Showing an answer while it is being made.
//!
//! The generation only leaves the text so far; a task of its own shows the latest of it at the
//! pace the place allows. Nothing shown here is final, and nothing here can fail an answer.

use std::sync::Arc;
use std::time::Duration;

use tertulia_domain::{Button, ButtonAction, Delivery, Turn};
use tertulia_platform::{
    Capabilities, DeliverError, Outgoing, Platform, Preview, Streaming, Urgency,
};
use tertulia_storage::NewDelivery;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, debug};

use crate::deliver;
use crate::patience::describe;
use crate::shared::Shared;

/// An answer that is being shown.
pub(crate) struct Live {
    text: watch::Sender<String>,
    done: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// What one attempt to show something led to.
enum Shown {
    Yes,
    /// Not here; use a message and edits.
    Unsupported,
    /// The message is gone; place nothing further before the answer.
    Lost,
}

struct Show {
    shared: Arc<Shared>,
    platform: Arc<dyn Platform>,
    turn: Turn,
    end: CancellationToken,
    capabilities: Capabilities,
    /// The delivery whose message is edited, once placed.
    placed: Option<Delivery>,
    /// Whether a message has been tried.
    tried: bool,
}

// === impl Live ===

impl Live {
    /// Begins to show that we are at work.
    pub(crate) fn begin(
        shared: Arc<Shared>,
        platform: Arc<dyn Platform>,
        turn: &Turn,
        end: &CancellationToken,
    ) -> Self {
        let (text, latest) = watch::channel(String::new());
        let done = CancellationToken::new();
        let show = Show {
            capabilities: platform.capabilities(&turn.place),
            shared,
            platform,
            turn: turn.clone(),
            end: end.clone(),
            placed: None,
            tried: false,
        };
        let task = tokio::spawn(show.run(latest, done.clone()).in_current_span());
        Self {
            text,
            done,
            task: AbortOnDropHandle::new(task),
        }
    }

    /// The text so far, from its beginning.
    pub(crate) fn show(&self, text: &str) {
        self.text.send_replace(text.to_owned());
    }

    /// Shows nothing further, and waits for what is on its way.
    pub(crate) async fn finish(self) {
        self.done.cancel();
        if let Err(error) = self.task.await {
            debug!(%error, "the preview ended early");
        }
    }
}

// === impl Show ===

impl Show {
    async fn run(mut self, mut latest: watch::Receiver<String>, done: CancellationToken) {
        let typing = self.capabilities.typing_every;
        let mut next_typing = Instant::now();
        let mut next_show = Instant::now();
        let mut waiting = false;
        let mut lost = false;
        if typing.is_none() && matches!(self.capabilities.streaming, Streaming::Preview { .. }) {
            self.preview(None).await;
        }
        loop {
            let every = self.every();
            tokio::select! {
                biased;
                () = done.cancelled() => return,
                changed = latest.changed(), if !waiting && !lost && every.is_some() => {
                    if changed.is_err() { return; }
                    waiting = true;
                }
                () = tokio::time::sleep_until(next_show), if waiting => {
                    let text = latest.borrow_and_update().clone();
                    waiting = false;
                    if text.trim().is_empty() { continue; }
                    match self.show(&text).await {
                        Shown::Yes => {}
                        Shown::Unsupported => {
                            self.capabilities = self.platform.capabilities(&self.turn.place);
                            let still = matches!(
                                self.capabilities.streaming, Streaming::Preview { .. }
                            );
                            if still { self.capabilities.streaming = Streaming::None; }
                            waiting = !still;
                        }
                        Shown::Lost => lost = true,
                    }
                    next_show = Instant::now() + every.unwrap_or_default();
                }
                () = tokio::time::sleep_until(next_typing), if typing.is_some() => {
                    self.preview(None).await;
                    next_typing = Instant::now() + typing.unwrap_or(Duration::from_secs(5));
                }
            }
        }
    }

    fn every(&self) -> Option<Duration> {
        match self.capabilities.streaming {
            Streaming::Preview { every } | Streaming::Edits { every } => Some(every),
            Streaming::None => None,
        }
    }

    async fn show(&mut self, text: &str) -> Shown {
        match self.capabilities.streaming {
            Streaming::Preview { .. } => self.preview(Some(text.to_owned())).await,
            Streaming::Edits { .. } => self.edit(text).await,
            Streaming::None => Shown::Yes,
        }
    }

    async fn preview(&self, text: Option<String>) -> Shown {
        let preview = Preview {
            place: self.turn.place.clone(),
            turn: self.turn.id,
            text,
        };
        match self.platform.preview(&preview).await {
            Err(DeliverError::Unsupported) => Shown::Unsupported,
            Err(error) => {
                debug!(error = describe(&error), "preview not shown");
                Shown::Yes
            }
            Ok(()) => Shown::Yes,
        }
    }

    /// Places the message, or edits it to the first part of the text so far.
    async fn edit(&mut self, text: &str) -> Shown {
        let unfinished = tertulia_markup::unfinished(text);
        let Some(content) = self.platform.compose(&unfinished).into_iter().next() else {
            return Shown::Yes;
        };
        let stop = Button {
            action: ButtonAction::Stop,
            turn: self.turn.id,
        };
        let buttons = if self.capabilities.buttons {
            vec![stop]
        } else {
            Vec::new()
        };
        let Some(delivery) = &self.placed else {
            if self.tried {
                return Shown::Lost;
            }
            self.tried = true;
            self.place(content, buttons).await;
            return if self.placed.is_some() {
                Shown::Yes
            } else {
                Shown::Lost
            };
        };
        let outgoing = Outgoing {
            content,
            buttons,
            ..deliver::outgoing(delivery, Urgency::Live)
        };
        match self.platform.deliver(&outgoing).await {
            Ok(_) | Err(DeliverError::Skipped | DeliverError::Again { .. }) => Shown::Yes,
            Err(error) => {
                debug!(
                    error = describe(&error),
                    "the answer so far is not shown any more"
                );
                Shown::Lost
            }
        }
    }

    async fn place(&mut self, content: tertulia_domain::Styled, buttons: Vec<Button>) {
        let new = NewDelivery {
            part: 0,
            place: self.turn.place.clone(),
            reply_to: self.turn.reply_to.clone(),
            content,
            buttons,
        };
        let now = self.shared.clock.now();
        let before = self.shared.storage.deliveries(self.turn.id).await;
        let Ok(before) = before else { return };
        match self
            .shared
            .storage
            .open_delivery(self.turn.id, &new, now)
            .await
        {
            Ok(delivery) => {
                let fresh = before.is_empty();
                self.placed = deliver::place_early(&self.shared, &self.end, delivery, fresh).await;
            }
            Err(error) => debug!(error = describe(&error), "no early message"),
        }
    }
}
