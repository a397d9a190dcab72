//! What a command comes to: done, or why not.

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The config has these problems, one a line.
    Config(String),
    /// Anything else.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// What a command comes to.
pub(crate) type Done = Result<(), Failure>;
