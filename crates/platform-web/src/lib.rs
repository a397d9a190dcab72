//! The web page as a chat platform.
//!
//! The house's own platform: it serves a page, hears what people write there over HTTP, and shows
//! answers over a stream of events. [`Web`] is the account, [`History`] the narrow window through
//! which the page reads what was said before.
//!
//! A person is whoever holds a cookie with a random secret; the person's id is a hash of it, so
//! logs and tables never hold what opens the door.
//! A chat's id is made of the person and a name that the page chose, so that nobody can name
//! another person's chat (promise G10).
//!
//! Read in this order: what the page asks for ([`history`]), the account ([`web`]), who is
//! listening where ([`rooms`]), and the HTTP face ([`http`]).

mod history;
mod http;
mod rooms;
mod web;

pub use history::{History, HistoryError, Listed, Shown};
pub use web::{CommandHint, Web};
