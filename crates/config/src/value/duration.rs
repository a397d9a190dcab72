//! Durations as people write them: `"10s"`, `"1h30m"`, `"365d"`, `"0"`.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserializer, Serializer};

/// Milliseconds of each unit, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

struct Written(Duration);

impl FromStr for Written {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    super::text::parse::<Written, _>(from).map(|written| written.0)
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&write(*duration))
}

fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!(r#"{text:?} is not a duration such as "10s", "5m", "1h30m" or "365d""#);
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, size) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(*size).ok_or_else(wrong)?;
        millis = millis.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Ok(Duration::from_millis(millis))
    }
}

/// In the largest unit that says it exactly.
fn write(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(_, size)| millis.is_multiple_of(*size));
    match unit {
        Some((name, size)) if millis > 0 => format!("{}{name}", millis / size),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("0", 0),
            ("10s", 10_000),
            ("250ms", 250),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("365d", 365 * 86_400_000),
            ("2w", 14 * 86_400_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(parse(&write(Duration::from_millis(millis))), parse(text));
        }
        for text in [
            "",
            "10",
            "s",
            "10 s",
            "1.5h",
            "-1s",
            "10x",
            "99999999999999999999s",
            "9w9",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
