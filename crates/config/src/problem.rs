//! What is wrong with a config, and where.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, or the environment variable.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key, as `accounts.telegram.token`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Turns offsets of a text into places.
pub(crate) struct Lines<'a> {
    file: Arc<str>,
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            key,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)
    }
}

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

// === impl Place ===

impl Place {
    /// The beginning of a file.
    pub(crate) fn start(file: &Arc<str>) -> Self {
        Self {
            file: Arc::clone(file),
            line: 1,
            column: 1,
        }
    }

    pub(crate) fn problem(&self, key: String, message: String) -> Problem {
        Problem {
            file: self.file.to_string(),
            line: self.line,
            column: self.column,
            key,
            message,
        }
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file: Arc::from(file),
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let column = self.text[start..offset].chars().count() + 1;
        Place {
            file: Arc::clone(&self.file),
            line,
            column,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let lines = Lines::new("f", "añ\nb\n\nc");
        let cases = [
            (0, 1, 1),
            (1, 1, 2),
            (2, 1, 2),
            (3, 1, 3),
            (4, 2, 1),
            (6, 3, 1),
            (8, 4, 2),
        ];
        for (offset, line, column) in cases {
            let place = lines.place(offset);
            assert_eq!((place.line, place.column), (line, column), "{offset}");
        }
        assert_eq!(lines.place(99), lines.place(8));
    }
}
