//! The store in one SQLite file: rows, queries and migrations of one dialect.
//!
//! It implements the traits of `tertulia-storage`, whose contract is its specification.
//! Writes go through one connection that shares a flushed commit among those who wait
//! ([`writer`]), reads through a few others that see what is committed.
//! The schema is in `migrations/sqlite`; a step that was released is never changed again.

mod restore;
mod store;
mod writer;

mod accept;
mod conversations;
mod erase;
mod export;
mod moved;
mod outbox;
mod people;
mod places;
mod transcript;
mod turns;

mod fault;
mod row;

#[cfg(test)]
mod tests;

pub use restore::{RestoreError, restore};
pub use store::{BackupError, OpenError, SqliteStorage};
