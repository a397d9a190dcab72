//! Text with styles laid over it: what `markup` makes and a platform shows.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Plain text and the styles laid over it.
///
/// Invariant: spans are not empty, lie within the text on character boundaries, are ordered by
/// start (then longer first), and nest or are disjoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Styled {
    /// What is read.
    pub text: String,
    /// How parts of it look.
    pub spans: Vec<Span>,
}

/// A style over a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// The look.
    pub style: Style,
}

/// How a stretch of text looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Underlined.
    Underline,
    /// Struck through.
    Strike,
    /// Hidden until touched.
    Spoiler,
    /// Code within a line.
    Code,
    /// A block of code, with its language where it has one.
    Pre(Option<String>),
    /// A link to this address.
    Link(String),
    /// A quotation.
    Quote,
}

// === impl Styled ===

impl Styled {
    /// Text without any style.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            spans: Vec::new(),
        }
    }
}
