//! Sizes as people write them: `"512MB"`, `"2GiB"`, `"0"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// Each unit: the names it goes by, the first being ours, and its bytes. The largest comes first.
const UNITS: [(&[&str], u64); 7] = [
    (&["GiB"], 1 << 30),
    (&["GB", "G"], 1_000_000_000),
    (&["MiB"], 1 << 20),
    (&["MB", "M"], 1_000_000),
    (&["KiB"], 1 << 10),
    (&["KB", "kB", "K", "k"], 1000),
    (&["B", ""], 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!(r#"{text:?} is not a size such as "512MB" or "2GiB""#);
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let (_, size) = UNITS
            .iter()
            .find(|(names, _)| names.contains(&unit))
            .ok_or_else(wrong)?;
        number.checked_mul(*size).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, size)| self.0.is_multiple_of(*size));
        match unit {
            Some((names, size)) if self.0 > 0 => write!(f, "{}{}", self.0 / size, names[0]),
            _ => f.write_str("0"),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::text::parse(from)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("512MB", 512_000_000),
            ("2 GiB", 2 << 30),
            ("7", 7),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        for text in ["", "MB", "1.5GB", "-1MB", "1TBx", "99999999999GB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
