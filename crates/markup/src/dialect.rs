//! What a platform accepts in one message, as data.

/// How a platform counts the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// UTF-16 code units: most emoji count two.
    Utf16,
    /// Unicode scalar values.
    Chars,
}

/// The limits of one message on a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How length is counted.
    pub unit: Unit,
    /// The greatest length of a message. At least 2, so that every character fits.
    pub max: usize,
    /// The greatest number of spans in a message; a platform drops the rest without a word.
    pub spans: usize,
}

// === impl Unit ===

impl Unit {
    /// The length of one character.
    pub fn of(self, c: char) -> usize {
        match self {
            Self::Utf16 => c.len_utf16(),
            Self::Chars => 1,
        }
    }
}

// === impl Dialect ===

impl Dialect {
    /// Telegram, for text with entities.
    ///
    /// It is not documented in which unit the server counts; UTF-16 is the longest it may be.
    pub const TELEGRAM: Self = Self {
        unit: Unit::Utf16,
        max: 4096,
        spans: 100,
    };

    /// Discord, for text without markup.
    ///
    /// Discord has no entities: a writer that turns spans back into its Markdown comes with its
    /// adapter, and must then count what it writes.
    pub const DISCORD: Self = Self {
        unit: Unit::Chars,
        max: 2000,
        spans: usize::MAX,
    };

    /// The length of a text as this platform counts it.
    pub fn length(&self, text: &str) -> usize {
        text.chars().map(|c| self.unit.of(c)).sum()
    }
}
