//! Telegram: updates stored before they are confirmed, replies under flood control.
//!
//! Requests are those of `teloxide-core`; the loop around them is our own, as its dispatcher,
//! polling and webhook confirm before anything is stored. Updates are read by types of our own
//! (see `wire`), as they must survive whatever a newer server writes.
//!
//! In reading order: `settings` and `telegram` (what an account is), `api` (one call), `start`,
//! `hear`, `poll`, `webhook` and `translate` (in), `letter`, `speak`, `verdict`, `flow` and
//! `drafts` (out), `doctor` (what is wrong).

mod api;
mod backoff;
mod doctor;
mod drafts;
mod entities;
mod flow;
mod hear;
mod letter;
mod poll;
mod settings;
mod speak;
mod start;
mod telegram;
mod translate;
mod verdict;
mod webhook;
mod wire;

#[cfg(test)]
mod tests;

pub use doctor::Finding;
pub use settings::{CommandMenu, Mode, PUBLIC_API, TelegramSettings};
pub use telegram::Telegram;
