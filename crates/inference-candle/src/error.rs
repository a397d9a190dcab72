//! What can be wrong with a model's files, said so that a person can mend it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A model that cannot be fetched, read or used.
#[derive(Debug, Error)]
pub enum ModelFileError {
    /// The file or folder cannot be opened or read.
    #[error("{}: cannot be read; check that the path exists and may be read", file.display())]
    Unreadable {
        /// What was to be read.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nothing of this name is there.
    #[error("{what} is not there; {remedy}")]
    Missing {
        /// What was looked for.
        what: String,
        /// How to get it.
        remedy: String,
    },
    /// The content contradicts itself or its format.
    #[error("{}: the file is damaged or not complete ({what}); fetch it again", file.display())]
    Broken {
        /// The damaged file.
        file: PathBuf,
        /// What is wrong in it.
        what: String,
    },
    /// The file is well formed, but of a kind that is not known here.
    #[error("{}: {what} is not supported; choose another model or another file of it", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// What is not known.
        what: String,
    },
    /// The device that was asked for cannot be used.
    #[error(
        "device {device} cannot be used ({what}); set `device = \"cpu\"` or build with its feature"
    )]
    Device {
        /// The device.
        device: String,
        /// Why not.
        what: String,
    },
    /// The file could not be fetched from where it is published.
    #[error("{what} could not be fetched; check the network or put the file in place by hand")]
    Fetch {
        /// What was to be fetched.
        what: String,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

// === impl ModelFileError ===

impl ModelFileError {
    /// A damaged file, to be named with [`at`](Self::at).
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken {
            file: PathBuf::new(),
            what: without_trace(what),
        }
    }

    /// A file of an unknown kind, to be named with [`at`](Self::at).
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported {
            file: PathBuf::new(),
            what: without_trace(what),
        }
    }

    /// Names the file concerned, unless one is named already.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Unreadable { file, .. }
            | Self::Broken { file, .. }
            | Self::Unsupported { file, .. }
                if file.as_os_str().is_empty() =>
            {
                path.clone_into(file);
            }
            _ => {}
        }
        self
    }
}

/// The first line of a reason: candle's errors show a backtrace below it when `RUST_BACKTRACE` is
/// set, which tells a person nothing about the file.
fn without_trace(what: impl Into<String>) -> String {
    let what = what.into();
    what.lines()
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line() {
        let error = ModelFileError::broken("unknown magic 0x0\n   0: candle_core::bt\n")
            .at(Path::new("a.gguf"));
        assert_eq!(
            error.to_string(),
            "a.gguf: the file is damaged or not complete (unknown magic 0x0); fetch it again"
        );
    }
}
