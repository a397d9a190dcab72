//! Opening, closing and copying the file.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection, SqlitePool};
use tertulia_storage::StorageError;

use crate::fault::{Fault, Tried};
use crate::writer::Writer;

/// The schema, step by step: number, name, statements.
pub(crate) const MIGRATIONS: [(i64, &str, &str); 1] = [(
    1,
    "conversations",
    include_str!("../../../migrations/sqlite/0001_conversations.sql"),
)];

/// How many reads run at once.
const READERS: u32 = 4;

/// The store in one SQLite file.
///
/// Cheap to clone; all clones are the same store.
///
/// Invariant: one process at a time has the file, by an advisory lock beside it.
#[derive(Clone, Debug)]
pub struct SqliteStorage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    /// None for a store in memory, which only its one connection can see.
    readers: Option<SqlitePool>,
    options: SqliteConnectOptions,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one of a SQLite file.
    #[error("{url:?} is not the address of a SQLite file, such as sqlite:data/tertulia.db")]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// Another process has it.
    #[error(
        "{} is in use by another tertulia{}: stop that one first, or give this one a store of its own",
        file.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The database file.
        file: PathBuf,
        /// The process that has it, if it left its number.
        pid: Option<u32>,
    },
    /// A newer version of the program wrote it.
    #[error(
        "the store was written by a newer tertulia (its schema step {0} is not known here): \
         use that version, or restore a backup from before"
    )]
    Newer(i64),
    /// A file or folder cannot be made or read.
    #[error("{} cannot be used", file.display())]
    File {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database does not open, or its schema could not be brought up to date.
    #[error("the database does not open: {0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is a file already.
    #[error("{} exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{} cannot be written", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store did not give its content.
    #[error(transparent)]
    Store(#[from] StorageError),
}

// === impl SqliteStorage ===

impl SqliteStorage {
    /// Opens the store at `sqlite:FILE`, or a fresh one at `sqlite::memory:`.
    ///
    /// Makes folder and file if they are missing and brings the schema up to date.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let (options, file) = locate(url)?;
        let lock = match &file {
            Some(file) => Some(lock(file)?),
            None => None,
        };
        Self::connect(options, file.is_none(), lock).await
    }

    /// Opens the store at `sqlite:FILE` beside the process that has it, if one does: to copy it,
    /// or to read and erase what is stored about a person. Never to answer.
    ///
    /// # Errors
    /// [`OpenError::Database`] if there is no such file yet.
    pub async fn open_beside(url: &str) -> Result<Self, OpenError> {
        let (options, file) = locate(url)?;
        if let Some(file) = file.filter(|file| !file.exists()) {
            let missing = format!("{} is not there", file.display());
            return Err(OpenError::Database(missing.into()));
        }
        Self::connect(options, false, None).await
    }

    async fn connect(
        options: SqliteConnectOptions,
        in_memory: bool,
        lock: Option<File>,
    ) -> Result<Self, OpenError> {
        let options = options
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Committed means durable (promise G3): the log is flushed with every commit.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            // What is erased is overwritten (promise of /forget_me).
            .pragma("secure_delete", "ON")
            // In KiB, for each connection. No memory map: a failing disk would end the process.
            .pragma("cache_size", "-4096")
            .pragma("temp_store", "MEMORY")
            .pragma("journal_size_limit", "16777216")
            .optimize_on_close(true, 400)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(database)?;
        migrate(&mut connection).await?;

        let readers = (!in_memory).then(|| {
            SqlitePoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(Duration::from_secs(10))
                .connect_lazy_with(
                    options
                        .clone()
                        .create_if_missing(false)
                        .pragma("query_only", "ON")
                        .optimize_on_close(false, None),
                )
        });
        Ok(Self {
            inner: Arc::new(Inner {
                writer: Writer::start(connection, lock),
                readers,
                options,
            }),
        })
    }

    /// Finishes what is queued, closes the file and lets others open it.
    ///
    /// Everything asked afterwards is [`StorageError::Unavailable`].
    pub async fn close(&self) {
        if let Some(readers) = &self.inner.readers {
            readers.close().await;
        }
        self.inner.writer.close().await;
    }

    /// Writes a consistent copy while the store is in use; never over an existing file.
    pub async fn backup(&self, file: &Path) -> Result<(), BackupError> {
        let failed = |source| BackupError::File {
            file: file.to_owned(),
            source,
        };
        if file.try_exists().map_err(failed)? {
            return Err(BackupError::Exists(file.to_owned()));
        }
        if self.inner.readers.is_none() {
            return Err(
                StorageError::Inconsistent("a store in memory has no copies".into()).into(),
            );
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        // Under another name until it is whole and on the disk.
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let _ = std::fs::remove_file(&part);
        let copied = self.copy_into(&part).await;
        let placed = copied.and_then(|()| {
            File::open(&part)
                .and_then(|copy| copy.sync_all())
                .and_then(|()| std::fs::rename(&part, file))
                .map_err(failed)
        });
        if placed.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        placed
    }

    async fn copy_into(&self, part: &Path) -> Result<(), BackupError> {
        let target = part.to_str().ok_or_else(|| {
            StorageError::Inconsistent("the name of a copy must be valid UTF-8".into())
        })?;
        let copy = async {
            let mut connection = self.inner.options.connect().await?;
            sqlx::query("VACUUM INTO ?1")
                .bind(target)
                .execute(&mut connection)
                .await?;
            connection.close().await
        };
        copy.await
            .map_err(|error| StorageError::from(Fault::from(error)).into())
    }

    /// Does this within a transaction of the writer.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Tried<T>> + Send + 'static,
    {
        self.inner.writer.write(work).await
    }

    /// Empties the log, so that what was erased is not readable in it either.
    pub(crate) async fn empty_log(&self) {
        self.inner.writer.empty_log().await;
    }

    /// Reads within one view of the store: everything committed before, nothing of what comes.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Tried<T>> + Send + 'static,
    {
        let Some(readers) = &self.inner.readers else {
            return self.inner.writer.write(work).await;
        };
        let read = async {
            let mut view = readers.begin().await?;
            let value = work(&mut view).await?;
            view.commit().await?;
            Ok::<T, Fault>(value)
        };
        Ok(read.await?)
    }
}

/// The address taken apart; no file for a store in memory.
pub(crate) fn locate(url: &str) -> Result<(SqliteConnectOptions, Option<PathBuf>), OpenError> {
    let options = address(url).map_err(|source| OpenError::Address {
        url: url.to_owned(),
        source,
    })?;
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    let file = (!in_memory).then(|| options.get_filename().to_owned());
    Ok((options, file))
}

/// Reads the address; the library would take that of another database for a file name.
fn address(url: &str) -> Result<SqliteConnectOptions, sqlx::Error> {
    if url.starts_with("sqlite:") {
        SqliteConnectOptions::from_str(url)
    } else {
        Err(sqlx::Error::Configuration(
            "it does not begin with sqlite:".into(),
        ))
    }
}

/// Keeps every other process away from this file.
pub(crate) fn lock(file: &Path) -> Result<File, OpenError> {
    if let Some(folder) = file.parent().filter(|it| !it.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| OpenError::File {
            file: folder.to_owned(),
            source,
        })?;
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source| OpenError::File {
        file: name.clone(),
        source,
    };
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            return Err(OpenError::InUse {
                file: file.to_owned(),
                pid: pid.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(lock)
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    steps()
        .run(&mut *connection)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(version) => OpenError::Newer(version),
            other => OpenError::Database(Box::new(other)),
        })
}

/// The steps of the schema as the library takes them.
pub(crate) fn steps() -> Migrator {
    let steps = MIGRATIONS.map(|(number, name, statements)| {
        let statements = statements.into_sql_str();
        Migration::new(
            number,
            name.into(),
            MigrationType::Simple,
            statements,
            false,
        )
    });
    Migrator::with_migrations(steps.to_vec())
}

fn database(error: sqlx::Error) -> OpenError {
    OpenError::Database(Box::new(error))
}
