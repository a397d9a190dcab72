//! Where model files are kept, and the notes that say what they are.
//!
//! A note `FILE.sha256` holds a line that `sha256sum -c` understands, and size and time of the
//! file as it was then: as long as those are the same the file is taken as checked, since reading
//! hundreds of megabytes at each start would be felt.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::pull::{Failure, PullError, disk};

/// How often a waiting process asks whether the other one is done.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The folder of model files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDir {
    path: PathBuf,
}

/// Where one file belongs; the name may not be known yet.
#[derive(Clone, Debug)]
pub(super) struct Place {
    folder: PathBuf,
    name: Option<String>,
}

/// What is noted about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) sha256: String,
    size: u64,
    modified: u128,
}

// === impl ModelDir ===

impl ModelDir {
    /// Keeps files in this folder, which is made when needed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The usual folder: `$TERTULIA_MODELS`, else `tertulia/models` in the user's cache.
    ///
    /// # Errors
    /// When the environment names none.
    pub fn usual() -> Result<Self, PullError> {
        Self::by(|name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(Into::into)
        })
        .ok_or(PullError::NoFolder)
    }

    fn by(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        variable("TERTULIA_MODELS")
            .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("tertulia/models")))
            .or_else(|| Some(variable("HOME")?.join(".cache/tertulia/models")))
            .map(Self::new)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn place(&self, folders: &[&str], name: Option<&str>) -> Place {
        let folder = folders
            .iter()
            .fold(self.path.clone(), |path, folder| path.join(folder));
        Place {
            folder,
            name: name.map(Into::into),
        }
    }
}

// === impl Place ===

impl Place {
    /// The same folder with a name.
    pub(super) fn named(&self, path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        Self {
            folder: self.folder.clone(),
            name: Some(name.into()),
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.folder.join(format!(
            "{}{ending}",
            self.name.as_deref().unwrap_or("model")
        ))
    }

    /// Where the file is or will be; without a name, whatever single file was fetched before.
    pub(super) fn file(&self) -> Option<PathBuf> {
        if let Some(name) = &self.name {
            return Some(self.folder.join(name));
        }
        let mut files = fs::read_dir(&self.folder)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|it| it == "gguf"));
        files.next().filter(|_| files.next().is_none())
    }

    /// What is being written before it is checked.
    pub(super) fn part(&self) -> PathBuf {
        self.beside(".part")
    }

    /// A folder for whatever a source needs on the way.
    pub(super) fn work(&self) -> PathBuf {
        self.beside(".work")
    }

    /// Bytes that an interrupted pull has left.
    pub(super) fn partial(&self) -> u64 {
        fs::metadata(self.part()).map_or(0, |meta| meta.len()) + largest(&self.work())
    }

    /// The file, if it is here and as it was when it was checked against this hash.
    pub(super) fn present(&self, sha256: Option<&str>) -> Option<PathBuf> {
        let file = self.file()?;
        let note = note(&file)?;
        let same = stamp(&file).is_some_and(|now| now == (note.size, note.modified));
        (same && sha256.is_none_or(|sha256| sha256 == note.sha256)).then_some(file)
    }

    /// Waits until no other process works on this file.
    pub(super) async fn lock(&self) -> Result<File, PullError> {
        let path = self.beside(".lock");
        fs::create_dir_all(&self.folder).map_err(|error| disk(&self.folder, error))?;
        let file = File::create(&path).map_err(|error| disk(&path, error))?;
        let mut waiting = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut waiting, true) {
                        tracing::info!(file = %path.display(), "another process fetches this model");
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(TryLockError::Error(error)) => return Err(disk(&path, error)),
            }
        }
    }

    /// Checks what was written and puts it in its place.
    pub(super) async fn settle(
        &self,
        expected: Option<&str>,
        origin: &str,
    ) -> Result<PathBuf, Failure> {
        let part = self.part();
        let found = hash(&part).await?;
        if let Some(expected) = expected
            && !expected.eq_ignore_ascii_case(&found)
        {
            // Nothing of it is worth keeping.
            let _ = fs::remove_file(&part);
            let _ = fs::remove_dir_all(self.work());
            return Err(Failure::Corrupt {
                expected: expected.into(),
                found,
            });
        }
        let file = self.file().unwrap_or_else(|| self.beside(""));
        let place = || -> std::io::Result<()> {
            File::open(&part)?.sync_all()?;
            fs::rename(&part, &file)?;
            let (size, modified) = stamp(&file)
                .ok_or_else(|| std::io::Error::other("the file has no time of change"))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let noted = file_beside(&file, ".sha256.part");
            let mut note = File::create(&noted)?;
            write!(
                note,
                "{found}  {name}\n# size {size} modified {modified} from {origin}\n"
            )?;
            note.sync_all()?;
            fs::rename(&noted, file_beside(&file, ".sha256"))?;
            // So that the new names survive a power cut, where folders can be synced.
            let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
            Ok(())
        };
        place().map_err(|error| disk(&file, error))?;
        let _ = fs::remove_dir_all(self.work());
        Ok(file)
    }
}

fn file_beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Size and time of change.
fn stamp(file: &Path) -> Option<(u64, u128)> {
    let meta = fs::metadata(file).ok()?;
    let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((meta.len(), modified.as_nanos()))
}

/// What is noted about a file.
pub(super) fn note(file: &Path) -> Option<Note> {
    let text = fs::read_to_string(file_beside(file, ".sha256")).ok()?;
    let mut lines = text.lines();
    let sha256 = lines.next()?.split_whitespace().next()?.to_owned();
    let mut words = lines.next()?.split_whitespace().skip(2).step_by(2);
    Some(Note {
        sha256,
        size: words.next()?.parse().ok()?,
        modified: words.next()?.parse().ok()?,
    })
}

/// The SHA-256 of a file, in small hexadecimal letters.
pub(super) async fn hash(path: &Path) -> Result<String, PullError> {
    let owned = path.to_owned();
    let read = move || -> std::io::Result<String> {
        let mut file = File::open(owned)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        Ok(format!("{:x}", hasher.finalize()))
    };
    tokio::task::spawn_blocking(read)
        .await
        .expect("reading a file does not panic")
        .map_err(|error| disk(path, error))
}

/// The size of the largest file in a folder and those in it.
pub(super) fn largest(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => largest(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn the_usual_folder_follows_the_environment() {
        let cases: [(Variables<'_>, Option<&str>); 4] = [
            (&[("TERTULIA_MODELS", "/m"), ("HOME", "/h")], Some("/m")),
            (
                &[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")],
                Some("/c/tertulia/models"),
            ),
            (&[("HOME", "/h")], Some("/h/.cache/tertulia/models")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let found = ModelDir::by(|name| {
                variables
                    .iter()
                    .find(|(other, _)| *other == name)
                    .map(|(_, value)| value.into())
            });
            assert_eq!(found, expected.map(ModelDir::new));
        }
    }
}
