//! What goes wrong inside, and what the caller is told of it.
//!
//! The library's errors carry SQL and file names; the seam's errors answer one question: is it
//! worth trying again.

use tertulia_storage::StorageError;

/// A failure inside this crate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The library or the database says no.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A row or an argument cannot be.
    #[error("{0}")]
    Inconsistent(String),
}

/// The result of a step inside this crate.
pub(crate) type Tried<T> = Result<T, Fault>;

// === impl Fault ===

impl Fault {
    /// Something that cannot be.
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent(what.into())
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Inconsistent(format!("a value is not the JSON it should be: {error}"))
    }
}

impl From<Fault> for StorageError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Inconsistent(what) => Self::Inconsistent(what),
            Fault::Sql(error) if is_transient(&error) => Self::Unavailable(Box::new(error)),
            Fault::Sql(error) => Self::Inconsistent(error.to_string()),
        }
    }
}

/// Whether time or a person with a bigger disk can cure it.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            // The lower byte is the primary result code, the rest says where it happened.
            let code = database
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .unwrap_or_default();
            matches!(
                code & 0xff,
                3 // PERM
                | 5 // BUSY
                | 6 // LOCKED
                | 7 // NOMEM
                | 8 // READONLY: a file system that was remounted after an error
                | 9 // INTERRUPT
                | 10 // IOERR
                | 13 // FULL
                | 14 // CANTOPEN
                | 15 // PROTOCOL
                | 17 // SCHEMA
            )
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
