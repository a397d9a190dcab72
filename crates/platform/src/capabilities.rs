//! What a platform can do at a place, as data.

use std::time::Duration;

/// What can be done at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How an answer is shown while it is being made.
    pub streaming: Streaming,
    /// Whether messages carry buttons.
    pub buttons: bool,
    /// How often to repeat that we are at work; none if it need not or cannot be said.
    pub typing_every: Option<Duration>,
    /// A person's text of at least this many UTF-16 units was probably split by the client, and
    /// the next piece is on its way; none if clients do not split.
    pub split_at: Option<usize>,
}

/// How an answer is shown while it is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// By previews, at most this often; nothing is placed before the end.
    Preview {
        /// The pause between two previews.
        every: Duration,
    },
    /// By a message that is placed early and edited, at most this often.
    Edits {
        /// The pause between two edits.
        every: Duration,
    },
    /// Not at all.
    None,
}
