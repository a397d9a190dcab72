//! Who is listening where: open streams by chat, and the answer that is being made there.
//!
//! A preview replaces the one before, so a slow reader skips to the latest; an answer that was
//! placed is queued for each reader, and a reader that falls behind the queue is told to read the
//! history again.
//!
//! Invariant: memory is bounded by the number of rooms, of listeners in each, and by the length of
//! the queue; nothing here needs to survive, as the history holds everything that does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tertulia_domain::{ChatId, Timestamp, TurnId};
use tokio::sync::{broadcast, watch};

/// Rooms that are remembered at once.
const ROOMS_MAX: usize = 4096;
/// Streams of one chat, such as tabs.
const LISTENERS_MAX: usize = 16;
/// Events that a reader may lag behind.
const EVENTS_MAX: usize = 32;
/// An answer that said nothing for this long is not being made any more.
const LIVE_MAX: Duration = Duration::from_secs(15 * 60);

/// The rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    rooms: Mutex<HashMap<ChatId, Room>>,
}

/// One chat that somebody listens to, or in which an answer is being made.
struct Room {
    live: watch::Sender<Option<Live>>,
    events: broadcast::Sender<RoomEvent>,
    listeners: usize,
}

/// An answer that is being made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Live {
    /// The turn that is being answered.
    pub(crate) turn: TurnId,
    /// The text so far; none while there is nothing but thought.
    pub(crate) text: Option<Arc<str>>,
    /// When that was.
    pub(crate) at: Timestamp,
}

/// Something that happened, as the JSON that the page reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RoomEvent {
    /// A message of ours was placed.
    Message(Arc<str>),
    /// Something was said by the person, in this tab or another.
    Changed(Arc<str>),
}

/// One stream's ears; leaves the room when dropped.
pub(crate) struct Listener {
    /// The answer that is being made; marked as changed at first, if there is one.
    pub(crate) live: watch::Receiver<Option<Live>>,
    /// What happens.
    pub(crate) events: broadcast::Receiver<RoomEvent>,
    chat: ChatId,
    rooms: Arc<Rooms>,
}

// === impl Rooms ===

impl Rooms {
    /// Listens to a chat; none if too many do already.
    pub(crate) fn listen(self: &Arc<Self>, chat: ChatId, now: Timestamp) -> Option<Listener> {
        let mut rooms = self.lock();
        let room = room(&mut rooms, &chat)?;
        if room.listeners >= LISTENERS_MAX {
            return None;
        }
        room.listeners += 1;
        room.live.send_if_modified(|live| {
            let stale = live
                .as_ref()
                .is_some_and(|live| now.since(live.at) > LIVE_MAX);
            if stale {
                *live = None;
            }
            stale
        });
        let mut live = room.live.subscribe();
        live.mark_changed();
        let events = room.events.subscribe();
        drop(rooms);
        Some(Listener {
            live,
            events,
            chat,
            rooms: Arc::clone(self),
        })
    }

    /// Shows the text so far.
    pub(crate) fn preview(&self, chat: &ChatId, live: Live) {
        let mut rooms = self.lock();
        if let Some(room) = room(&mut rooms, chat) {
            room.live.send_replace(Some(live));
        }
    }

    /// Shows a message that was placed; the turn's preview is over.
    pub(crate) fn place(&self, chat: &ChatId, turn: TurnId, message: Arc<str>) {
        let mut rooms = self.lock();
        let Some(room) = rooms.get_mut(chat) else {
            return;
        };
        // First the preview, so that no reader sees it after the message.
        room.live.send_if_modified(|live| {
            let over = live.as_ref().is_some_and(|live| live.turn <= turn);
            if over {
                *live = None;
            }
            over
        });
        let _ = room.events.send(RoomEvent::Message(message));
        if room.is_idle() {
            rooms.remove(chat);
        }
    }

    /// Tells the other tabs that the person said something.
    pub(crate) fn changed(&self, chat: &ChatId, what: Arc<str>) {
        if let Some(room) = self.lock().get(chat) {
            let _ = room.events.send(RoomEvent::Changed(what));
        }
    }

    fn leave(&self, chat: &ChatId) {
        let mut rooms = self.lock();
        if let Some(room) = rooms.get_mut(chat) {
            room.listeners = room.listeners.saturating_sub(1);
            if room.is_idle() {
                rooms.remove(chat);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChatId, Room>> {
        // Every change leaves the map whole, so a panic elsewhere does not spoil it.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room of a chat, made if there is space; the longest silent one without listeners gives way.
fn room<'a>(rooms: &'a mut HashMap<ChatId, Room>, chat: &ChatId) -> Option<&'a mut Room> {
    if !rooms.contains_key(chat) && rooms.len() >= ROOMS_MAX {
        let silent = rooms
            .iter()
            .filter(|(_, room)| room.listeners == 0)
            .min_by_key(|(_, room)| room.live.borrow().as_ref().map(|live| live.at))
            .map(|(chat, _)| chat.clone())?;
        rooms.remove(&silent);
    }
    Some(rooms.entry(chat.clone()).or_insert_with(|| Room {
        live: watch::Sender::new(None),
        events: broadcast::Sender::new(EVENTS_MAX),
        listeners: 0,
    }))
}

// === impl Room ===

impl Room {
    fn is_idle(&self) -> bool {
        self.listeners == 0 && self.live.borrow().is_none()
    }
}

// === impl Listener ===

impl Drop for Listener {
    fn drop(&mut self) {
        self.rooms.leave(&self.chat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(turn: i64, text: &str, at: i64) -> Live {
        Live {
            turn: TurnId(turn),
            text: Some(text.into()),
            at: Timestamp(at),
        }
    }

    #[test]
    fn a_room_goes_when_nobody_is_there_and_nothing_is_being_said() {
        let rooms = Arc::new(Rooms::default());
        let chat = ChatId::from("a");
        let listener = rooms.listen(chat.clone(), Timestamp(0)).unwrap();
        rooms.preview(&chat, live(1, "so far", 0));
        drop(listener);
        assert_eq!(rooms.lock().len(), 1, "the preview is kept for a reload");

        let late = rooms.listen(chat.clone(), Timestamp(1)).unwrap();
        assert_eq!(*late.live.borrow(), Some(live(1, "so far", 0)));
        rooms.place(&chat, TurnId(1), "{}".into());
        assert_eq!(*late.live.borrow(), None, "the message ends the preview");
        drop(late);
        assert_eq!(rooms.lock().len(), 0);
    }

    #[test]
    fn a_message_leaves_the_preview_of_a_later_turn_alone() {
        let rooms = Arc::new(Rooms::default());
        let chat = ChatId::from("a");
        let listener = rooms.listen(chat.clone(), Timestamp(0)).unwrap();
        rooms.preview(&chat, live(2, "later", 0));
        rooms.place(&chat, TurnId(1), "{}".into());
        assert_eq!(*listener.live.borrow(), Some(live(2, "later", 0)));
    }

    #[test]
    fn a_preview_that_was_left_behind_is_not_shown() {
        let rooms = Arc::new(Rooms::default());
        let chat = ChatId::from("a");
        rooms.preview(&chat, live(1, "left", 0));
        let later = Timestamp(0).after(LIVE_MAX + Duration::from_secs(1));
        let listener = rooms.listen(chat, later).unwrap();
        assert_eq!(*listener.live.borrow(), None);
    }

    #[test]
    fn rooms_and_listeners_are_bounded() {
        let rooms = Arc::new(Rooms::default());
        let chat = ChatId::from("kept");
        let listeners: Vec<_> = (0..LISTENERS_MAX)
            .map(|_| rooms.listen(chat.clone(), Timestamp(0)).unwrap())
            .collect();
        assert!(rooms.listen(chat.clone(), Timestamp(0)).is_none());
        for n in 0..ROOMS_MAX as i64 + 10 {
            rooms.preview(&ChatId::from(n.to_string()), live(1, "x", n));
        }
        assert_eq!(rooms.lock().len(), ROOMS_MAX);
        assert!(
            rooms.lock().contains_key(&chat),
            "listeners are not evicted"
        );
        assert!(!rooms.lock().contains_key(&ChatId::from("0")));
        drop(listeners);
        assert!(!rooms.lock().contains_key(&chat));
    }
}
