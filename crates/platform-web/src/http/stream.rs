//! What happens in a chat, as server-sent events.
//!
//! | event | data | the page |
//! | --- | --- | --- |
//! | `hello` | `{version}` | reads the history, as something may have happened in between |
//! | `preview` | `{turn, html}`, html null while thinking | shows the answer that is being made |
//! | `message` | `{delivery, turn, html, text, buttons, at}` | puts it in the preview's place |
//! | `changed` | `{id}` of something said | reads the history, unless it said so itself |
//! | `resync` | `{}` | fell behind, reads the history |
//!
//! `hello` comes first on every connection, followed by the present preview if there is one: a
//! page that is reloaded in mid-answer goes on where it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{AppendHeaders, IntoResponse};
use futures::{Stream, stream};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::problem::Problem;
use super::visitor::Chat;
use crate::rooms::{Listener, Live, RoomEvent};
use crate::web::Web;

/// The shortest pause between two previews.
const PREVIEW_PAUSE: Duration = Duration::from_millis(50);
/// Longer answers are shown a little less often: a millisecond more for each so many bytes.
const PREVIEW_BYTES_PER_MS: u64 = 250;
/// The pause after which a silent stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Opens a stream.
pub(super) async fn events(
    State(web): State<Arc<Web>>,
    chat: Chat,
) -> Result<impl IntoResponse, Problem> {
    if web.closing.is_cancelled() {
        return Err(Problem::closed());
    }
    let listener = web
        .rooms
        .listen(chat.id, web.clock.now())
        .ok_or_else(Problem::too_many_streams)?;
    let ears = Ears {
        listener,
        closing: web.closing.clone(),
        greeting: Some(json!({"version": web.assets.version()}).to_string()),
        not_before: Instant::now(),
    };
    let sse = Sse::new(ears.stream()).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Proxies that collect what they pass on would turn a stream into a lump.
    let header = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok((AppendHeaders([header]), sse))
}

/// One reader of a room.
struct Ears {
    listener: Listener,
    closing: CancellationToken,
    greeting: Option<String>,
    /// When the next preview may go out.
    not_before: Instant,
}

// === impl Ears ===

impl Ears {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut ears| {
            let event = ears.next().await?;
            Some((Ok(event), ears))
        })
    }

    /// The next thing to tell; none when it is time to go.
    async fn next(&mut self) -> Option<Event> {
        if let Some(greeting) = self.greeting.take() {
            return Some(Event::default().event("hello").data(greeting));
        }
        let Listener { live, events, .. } = &mut self.listener;
        loop {
            let not_before = self.not_before;
            let preview = async {
                sleep_until(not_before).await;
                live.changed()
                    .await
                    .map(|()| live.borrow_and_update().clone())
            };
            // Messages come before previews: the preview of a turn never follows its message.
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return None,
                event = events.recv() => return match event {
                    Ok(RoomEvent::Message(data)) => Some(Event::default().event("message").data(data)),
                    Ok(RoomEvent::Changed(data)) => Some(Event::default().event("changed").data(data)),
                    Err(RecvError::Lagged(_)) => Some(Event::default().event("resync").data("{}")),
                    Err(RecvError::Closed) => None,
                },
                live = preview => match live {
                    Ok(Some(live)) => {
                        let (data, pause) = show(&live);
                        self.not_before = Instant::now() + pause;
                        return Some(Event::default().event("preview").data(data));
                    }
                    Ok(None) => {}
                    Err(_) => return None,
                },
            }
        }
    }
}

/// The preview as data, and the pause that it asks for.
fn show(live: &Live) -> (String, Duration) {
    let html = live
        .text
        .as_deref()
        .map(|text| tertulia_markup::html(&tertulia_markup::unfinished(text)));
    let length = html.as_deref().map_or(0, str::len) as u64;
    let data = json!({"turn": live.turn.to_string(), "html": html}).to_string();
    let pause = PREVIEW_PAUSE + Duration::from_millis(length / PREVIEW_BYTES_PER_MS);
    (data, pause)
}
