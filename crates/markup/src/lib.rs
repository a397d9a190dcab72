//! Markdown to styled text, split into parts that a platform accepts, and to safe HTML.
//!
//! What comes in is what language models write: GitHub's Markdown more or less, often a reply
//! that is still streaming and stops in the middle of a fence. What goes out is a
//! [`Styled`]: plain text and the styles over it, never markup in the
//! text. A platform that takes text and entities therefore has nothing to parse and nothing to
//! refuse, and nobody can smuggle formatting or markup through a reply.
//!
//! The way: `parse` walks the events of `pulldown-cmark` and writes them with a `Weaver`, which
//! alone knows how looks may nest; [`split()`] cuts a styled text at good places; [`telegram`] counts
//! entities the way Telegram does. [`html()`] is a second, separate writer over the same events.
//! [`unfinished()`] goes before any of them while a reply is still streaming.
//!
//! Everything here is pure and total: any text is Markdown, nothing fails, and the work grows
//! linearly with the text because a streaming reply is parsed anew many times.

mod address;
mod dialect;
mod html;
mod parse;
mod split;
mod table;
pub mod telegram;
mod unfinished;
mod weaver;

#[cfg(test)]
mod examples;

use pulldown_cmark::Options;
use tertulia_domain::Styled;

pub use crate::{
    dialect::{Dialect, Unit},
    html::html,
    parse::parse,
    split::split,
    unfinished::unfinished,
};

/// Parses Markdown and splits it into the messages that a platform accepts, in order.
///
/// Nothing to show gives no part at all.
pub fn parts(markdown: &str, dialect: &Dialect) -> Vec<Styled> {
    split(&parse(markdown), dialect)
}

/// Gives the text alone, for titles and the like.
pub fn plain(markdown: &str) -> String {
    parse(markdown).text
}

/// The extensions that models use; maths stays text, because prices look like it.
fn options() -> Options {
    Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS
}

/// Reads the language of a fence from its info string.
///
/// Invariant: only `[A-Za-z0-9_+#.-]`, at most 32 of them, so that it is safe in an attribute.
fn language(info: &str) -> Option<String> {
    let name: String = info
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "_+#.-".contains(*c))
        .take(32)
        .collect();
    (!name.is_empty()).then_some(name)
}

/// Tells whether a piece of inline HTML is a line break, the one tag that is understood.
fn is_break(html: &str) -> bool {
    html.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|tag| {
            tag.trim_end_matches('/')
                .trim_end()
                .eq_ignore_ascii_case("br")
        })
}

/// Cuts HTML that is shown literally at its line breaks.
fn break_lines(html: &str) -> Vec<&str> {
    let (mut lines, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = html[at..].find('<').map(|found| at + found) {
        at = open + 1;
        // A `<br />` is short; looking no further keeps the scan linear in rows of `<`.
        let Some(close) = html.as_bytes()[open..]
            .iter()
            .take(10)
            .position(|byte| *byte == b'>')
            .map(|found| open + found + 1)
        else {
            continue;
        };
        if is_break(&html[open..close]) {
            lines.push(&html[from..open]);
            (from, at) = (close, close);
        }
    }
    lines.push(&html[from..]);
    lines
}

/// Tells whether a character shows nothing: a message of these alone is refused.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
