//! Putting a copy in the place of the store.

use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::store::{OpenError, locate, lock};

/// Why a copy was not put back; the store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store is in use, or its address is wrong.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A store in memory has no file to replace.
    #[error("the store is not a file, so nothing can be put in its place")]
    NotAFile,
    /// An earlier store that was kept would be lost.
    #[error("{} is kept from an earlier restore: move it away first", .0.display())]
    Kept(PathBuf),
    /// The copy is damaged or something else.
    #[error("{} is not a sound copy: {problem}", copy.display())]
    Unsound {
        /// The copy.
        copy: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be put in its place", copy.display())]
    File {
        /// The copy.
        copy: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Puts the copy in the place of the store at `url`, which nobody may be using.
///
/// What was there before is kept beside it under the returned name.
pub async fn restore(url: &str, copy: &Path) -> Result<Option<PathBuf>, RestoreError> {
    let (_, file) = locate(url)?;
    let file = file.ok_or(RestoreError::NotAFile)?;
    let _lock = lock(&file)?;
    let unsound = |problem: String| RestoreError::Unsound {
        copy: copy.to_owned(),
        problem,
    };
    inspect(copy).await.map_err(unsound)?;
    let kept = with_suffix(&file, ".before");
    let part = with_suffix(&file, ".part");
    let failed = |source| RestoreError::File {
        copy: copy.to_owned(),
        source,
    };
    std::fs::copy(copy, &part).map_err(failed)?;
    File::open(&part)
        .and_then(|part| part.sync_all())
        .map_err(failed)?;
    let there = file.exists();
    if there {
        if kept.exists() {
            let _ = std::fs::remove_file(&part);
            return Err(RestoreError::Kept(kept));
        }
        // Its log belongs to it and must not be replayed into the copy.
        fold_log(&file)
            .await
            .map_err(|error| failed(std::io::Error::other(error)))?;
        std::fs::rename(&file, &kept).map_err(failed)?;
    }
    std::fs::rename(&part, &file).map_err(failed)?;
    Ok(there.then_some(kept))
}

/// What is wrong with a copy.
async fn inspect(copy: &Path) -> Result<(), String> {
    let inspected = async {
        let options = SqliteConnectOptions::new().filename(copy).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
            .fetch_one(&mut connection)
            .await?;
        sqlx::query("SELECT id FROM conversations LIMIT 1")
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<String, sqlx::Error>(verdict)
    };
    match inspected.await {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(verdict),
        Err(error) => Err(error.to_string()),
    }
}

async fn fold_log(file: &Path) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await?;
    connection.close().await
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use tertulia_storage::Turns;
    use tertulia_storage::contract::Scene;

    use super::*;
    use crate::SqliteStorage;

    #[tokio::test]
    async fn a_copy_comes_back_and_what_was_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let copy = folder.path().join("copy.db");
        let chats = async || {
            let store = SqliteStorage::open(&url).await.unwrap();
            let chats = store.counts().await.unwrap().conversations;
            store.close().await;
            chats
        };
        let store = SqliteStorage::open(&url).await.unwrap();
        let mut scene = Scene::new(&store);
        scene.talk("one", "anna", "one", "ok").await;
        // While it is in use.
        let beside = SqliteStorage::open_beside(&url).await.unwrap();
        beside.backup(&copy).await.unwrap();
        beside.close().await;
        assert!(matches!(
            restore(&url, &copy).await,
            Err(RestoreError::Store(_))
        ));
        scene.talk("two", "ben", "two", "ok").await;
        store.close().await;
        assert_eq!(chats().await, 2);

        let garbage = folder.path().join("garbage");
        std::fs::write(&garbage, "not a database at all, only words").unwrap();
        assert!(matches!(
            restore(&url, &garbage).await,
            Err(RestoreError::Unsound { .. })
        ));

        let kept = restore(&url, &copy).await.unwrap();
        assert!(kept.is_some_and(|kept| kept.exists()));
        assert_eq!(chats().await, 1);
        assert!(matches!(
            restore(&url, &copy).await,
            Err(RestoreError::Kept(_))
        ));
    }
}
