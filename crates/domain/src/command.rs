//! Chat commands as they stand in a message.

use serde::{Deserialize, Serialize};

/// A chat command and what follows it: `/model gpt` is `model` with `gpt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The name in lower case, without slash.
    pub name: String,
    /// The rest of the line, trimmed.
    pub rest: String,
}

// === impl Command ===

impl Command {
    /// Reads a command off the start of a text; with it the name that followed an `@`.
    ///
    /// Names are 1 to 32 letters, digits and underscores, as both platforms have them.
    pub fn parse(text: &str) -> Option<(Self, Option<&str>)> {
        let line = text.strip_prefix('/')?;
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (name, addressee) = match word.split_once('@') {
            Some((name, addressee)) => (name, Some(addressee)),
            None => (word, None),
        };
        let fits = (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        fits.then(|| {
            (
                Self {
                    name: name.to_ascii_lowercase(),
                    rest: rest.trim().to_owned(),
                },
                addressee,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_off_the_start_of_a_text() {
        let read = |text| {
            Command::parse(text)
                .map(|(c, to)| format!("{}|{}|{}", c.name, c.rest, to.unwrap_or("-")))
        };
        assert_eq!(read("/new").as_deref(), Some("new||-"));
        assert_eq!(
            read("/Model@tertulia_bot  gpt mini ").as_deref(),
            Some("model|gpt mini|tertulia_bot")
        );
        assert_eq!(read("/undo\nsummary").as_deref(), Some("undo|summary|-"));
        for other in ["new", "/", "/ new", "//new", "/usr/bin", "/naïve", " /new"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
