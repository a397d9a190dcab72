//! Results to stdout, words for people to stderr.

use std::io::Write;

/// A line of the result.
pub(crate) fn result(text: &str) {
    // A reader that has gone away is no failure of ours.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A piece of the result, at once.
pub(crate) fn stream(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// A line for people.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line for people about what went wrong.
pub(crate) fn complain(text: &str) {
    say(&format!("tertulia: {text}"));
}

/// A line for people about what went wrong, with its causes.
pub(crate) fn fail(error: &anyhow::Error) {
    complain(&format!("{error:#}"));
}
