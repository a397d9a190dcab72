//! The account: what the house above sees of the page.
//!
//! Hearing is passive: the HTTP handlers hand each request to the intake while [`Platform::run`]
//! runs, and answer 503 otherwise; the page then asks again with the same id.
//! Speaking cannot fail: a message that was placed is in the history before it comes here, so what
//! no open stream hears is read later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use serde::Serialize;
use tertulia_domain::{AccountId, ButtonAction, Clock, Language, Place, PlatformMessageId, Styled};
use tertulia_platform::{
    Capabilities, DeliverError, Intake, Outgoing, Platform, PlatformError, Preview, Settled,
    Streaming, Traces,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::history::History;
use crate::http;
use crate::http::assets::Assets;
use crate::rooms::{Live, Rooms};

/// The pause between two previews of one answer; the streams pace themselves further.
const PREVIEW_EVERY: Duration = Duration::from_millis(40);

/// The web page as an account on a platform of its own.
pub struct Web {
    pub(crate) account: AccountId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) history: Arc<dyn History>,
    pub(crate) commands: Vec<CommandHint>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) assets: Assets,
    /// Ends every open stream, so that the server can stop.
    pub(crate) closing: CancellationToken,
    /// Where updates go; none while nobody takes them.
    door: Mutex<Option<Door>>,
}

/// A chat command that the page suggests while it is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandHint {
    /// The language of the description.
    pub language: Language,
    /// The name, without slash.
    pub name: String,
    /// What it does, in a few words.
    pub description: String,
}

/// The way in, while it is open.
struct Door {
    intake: Arc<dyn Intake>,
    /// Requests that went in and have not come out.
    inside: TaskTracker,
}

/// The right to hand over one update; the door does not close for good while one is held.
pub(crate) struct Entry {
    pub(crate) intake: Arc<dyn Intake>,
    _inside: TaskTrackerToken,
}

/// A message of ours, as the page reads it.
#[derive(Serialize)]
struct Placed<'a> {
    delivery: String,
    turn: String,
    html: String,
    text: &'a str,
    buttons: Vec<&'static str>,
    at: String,
}

/// Shuts the door when the future that opened it ends or is dropped.
struct Shut<'a>(&'a Web);

// === impl Web ===

impl Web {
    /// Makes the account, which shows what `history` remembers and suggests these commands.
    pub fn new(
        account: AccountId,
        clock: Arc<dyn Clock>,
        history: Arc<dyn History>,
        commands: Vec<CommandHint>,
    ) -> Arc<Self> {
        Arc::new(Self {
            account,
            clock,
            history,
            commands,
            rooms: Arc::default(),
            assets: Assets::load(),
            closing: CancellationToken::new(),
            door: Mutex::new(None),
        })
    }

    /// The page and what it talks to, to be mounted at the root.
    pub fn routes(self: &Arc<Self>) -> Router {
        http::routes(Arc::clone(self))
    }

    /// Ends every open stream and opens no more, once the last answer is out.
    ///
    /// Without this a server that waits for its connections would wait for ever.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Goes in with an update; none while the door is shut.
    pub(crate) fn enter(&self) -> Option<Entry> {
        self.door().as_ref().map(|door| Entry {
            intake: Arc::clone(&door.intake),
            _inside: door.inside.token(),
        })
    }

    fn door(&self) -> MutexGuard<'_, Option<Door>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Platform for Web {
    fn account(&self) -> &AccountId {
        &self.account
    }

    fn capabilities(&self, _place: &Place) -> Capabilities {
        Capabilities {
            streaming: Streaming::Preview {
                every: PREVIEW_EVERY,
            },
            buttons: true,
            typing_every: None,
            split_at: None,
        }
    }

    /// One part with the Markdown as it is: the page is shown HTML that is made from it.
    fn compose(&self, markdown: &str) -> Vec<Styled> {
        if markdown.trim().is_empty() {
            Vec::new()
        } else {
            vec![Styled::plain(markdown)]
        }
    }

    async fn run(
        &self,
        intake: Arc<dyn Intake>,
        stop: CancellationToken,
    ) -> Result<(), PlatformError> {
        let inside = TaskTracker::new();
        *self.door() = Some(Door {
            intake,
            inside: inside.clone(),
        });
        let shut = Shut(self);
        stop.cancelled().await;
        drop(shut);
        inside.close();
        inside.wait().await;
        Ok(())
    }

    async fn deliver(&self, outgoing: &Outgoing) -> Result<PlatformMessageId, DeliverError> {
        let text = &outgoing.content.text;
        let placed = Placed {
            delivery: outgoing.delivery.to_string(),
            turn: outgoing.turn.to_string(),
            html: tertulia_markup::html(text),
            text,
            buttons: outgoing.buttons.iter().map(|b| name(b.action)).collect(),
            at: self.clock.now().to_string(),
        };
        let json = serde_json::to_string(&placed).expect("strings and lists are JSON");
        self.rooms
            .place(&outgoing.place.chat, outgoing.turn, json.into());
        Ok(id_of(outgoing))
    }

    async fn settle(&self, outgoing: &Outgoing, _after: &Traces) -> Result<Settled, DeliverError> {
        Ok(Settled::Placed(id_of(outgoing)))
    }

    async fn preview(&self, preview: &Preview) -> Result<(), DeliverError> {
        let live = Live {
            turn: preview.turn,
            text: preview.text.as_deref().map(Arc::from),
            at: self.clock.now(),
        };
        self.rooms.preview(&preview.place.chat, live);
        Ok(())
    }
}

/// The same delivery has the same id, so placing it again changes nothing.
fn id_of(outgoing: &Outgoing) -> PlatformMessageId {
    PlatformMessageId::new(format!("d{}", outgoing.delivery))
}

fn name(action: ButtonAction) -> &'static str {
    match action {
        ButtonAction::Stop => "stop",
        ButtonAction::Retry => "retry",
        ButtonAction::Like => "like",
        ButtonAction::Dislike => "dislike",
    }
}

// === impl Shut ===

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        *self.0.door() = None;
    }
}
