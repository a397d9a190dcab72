//! The contract of the seam on this store, and what is particular to a file of SQLite.

use crate::SqliteStorage;

mod file;
mod plans;

async fn memory() -> SqliteStorage {
    SqliteStorage::open("sqlite::memory:").await.unwrap()
}

/// The contract in memory.
mod contract {
    tertulia_storage::contract_tests!(super::memory);
}
