//! Server-sent events from bytes that arrive in any pieces.
//!
//! As the HTML standard has it, but for the last event, which counts even without an empty line
//! after it: servers end their streams so.

use std::collections::VecDeque;

use thiserror::Error;

/// The longest line and the largest event; a token with all its trimmings is far smaller.
const LARGEST: usize = 1 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// What kind it says it is; empty for none.
    pub(crate) name: String,
    /// Its lines of data, joined.
    pub(crate) data: String,
}

/// A line or an event that is too long to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an event of the stream is larger than 1 MiB")]
pub(crate) struct TooLarge;

/// Makes events from bytes.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The line so far, without its end.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, whose line feed may come next.
    after_return: bool,
    /// Whether a line was read; a byte order mark may only stand before the first.
    begun: bool,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// Takes more bytes; complete events are added to `events`.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        events: &mut VecDeque<Event>,
    ) -> Result<(), TooLarge> {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + line.len() > LARGEST {
                return Err(TooLarge);
            }
            self.line.extend_from_slice(line);
            if let [end, after @ ..] = after {
                self.after_return = *end == b'\r';
                self.end_line(events)?;
                rest = after;
            } else {
                rest = after;
            }
        }
        Ok(())
    }

    /// Ends the last line and the last event.
    pub(crate) fn finish(&mut self, events: &mut VecDeque<Event>) -> Result<(), TooLarge> {
        if !self.line.is_empty() {
            self.end_line(events)?;
        }
        self.end_event(events);
        Ok(())
    }

    fn end_line(&mut self, events: &mut VecDeque<Event>) -> Result<(), TooLarge> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.end_event(events);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.event.data.len() + value.len() >= LARGEST {
                    return Err(TooLarge);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            // A comment (its field is empty), an id, a time to reconnect: nothing for us.
            _ => {}
        }
        Ok(())
    }

    /// An event without data is none.
    fn end_event(&mut self, events: &mut VecDeque<Event>) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            events.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = VecDeque::new();
        for piece in pieces {
            parser.push(piece, &mut events).unwrap();
        }
        parser.finish(&mut events).unwrap();
        events.into()
    }

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn reads_what_servers_write() {
        let cases: [(&str, &[Event]); 9] = [
            ("", &[]),
            ("data: a\n\n", &[event("", "a")]),
            (
                "data:a\r\n\r\ndata:  b\r\r",
                &[event("", "a"), event("", " b")],
            ),
            (": ping\n\n:\ndata: a\n\n", &[event("", "a")]),
            (
                "event: error\ndata: {\ndata: }\n\n",
                &[event("error", "{\n}")],
            ),
            ("event: ping\n\ndata: a\n\n", &[event("", "a")]),
            ("id: 1\nretry: 5\ndata\nx: y\n\n", &[event("", "")]),
            (
                "\u{feff}data: a\n\ndata: [DONE]",
                &[event("", "a"), event("", "[DONE]")],
            ),
            ("data: é漢🎉\n\n\n\n", &[event("", "é漢🎉")]),
        ];
        for (text, events) in cases {
            assert_eq!(parse([text.as_bytes()]), events, "{text:?}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let mut events = VecDeque::new();
        let piece = vec![b'a'; 1 << 16];
        let fed = (0..100)
            .take_while(|_| parser.push(&piece, &mut events).is_ok())
            .count();
        assert_eq!(fed, 16);

        let mut parser = Parser::default();
        let line = format!("data: {}\n", "a".repeat(1 << 16));
        let fed = (0..100).take_while(|_| parser.push(line.as_bytes(), &mut events).is_ok());
        assert!(fed.count() < 17);
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_are_split(
            lines in prop::collection::vec(
                ("(data: ?|event: |: |id:|)", "[a-cé漢🎉:]{0,6}", "(\r\n|\n|\r)"),
                0..30,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let text: String =
                lines.iter().flat_map(|(a, b, c)| [a.as_str(), b, c]).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> =
                cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(parse(pieces), parse([bytes]));
            prop_assert_eq!(parse(bytes.chunks(1)), parse([bytes]));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            parse([bytes.as_slice()]);
        }
    }
}
