//! Rates as people write them: `"20/min"`, `"200k/day"`, `"0.50/day"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So much in each stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How much: messages, tokens or money.
    pub amount: f64,
    /// In which time.
    pub per: Duration,
}

/// Each stretch: the names it goes by, the first being ours, and its seconds.
const STRETCHES: [(&[&str], u64); 6] = [
    (&["s", "sec", "second"], 1),
    (&["min", "m", "minute"], 60),
    (&["hour", "h"], 3600),
    (&["day", "d"], 86_400),
    (&["week", "w"], 7 * 86_400),
    (&["month"], 30 * 86_400),
];

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!(r#"{text:?} is not a rate such as "20/min" or "200k/day""#);
        let (amount, stretch) = text.split_once('/').ok_or_else(wrong)?;
        let (number, factor) = match amount
            .trim()
            .split_at_checked(amount.trim().len().max(1) - 1)
        {
            Some((number, "k")) => (number, 1e3),
            Some((number, "M")) => (number, 1e6),
            _ => (amount.trim(), 1.0),
        };
        if !number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
        {
            return Err(wrong());
        }
        let amount = number.parse::<f64>().map_err(|_| wrong())? * factor;
        let (_, seconds) = STRETCHES
            .iter()
            .find(|(names, _)| names.contains(&stretch.trim()))
            .ok_or_else(wrong)?;
        if amount.is_finite() {
            Ok(Self {
                amount,
                per: Duration::from_secs(*seconds),
            })
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        match STRETCHES.iter().find(|(_, size)| *size == seconds) {
            Some((names, _)) => write!(f, "{}/{}", self.amount, names[0]),
            None => write!(f, "{}/{seconds}s", self.amount),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::text::parse(from)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("20/min", 20.0, 60),
            ("200k/day", 200_000.0, 86_400),
            ("1.5M/month", 1_500_000.0, 30 * 86_400),
            ("0.50/day", 0.5, 86_400),
            ("3 / hour", 3.0, 3600),
            ("0/s", 0.0, 1),
        ];
        for (text, amount, seconds) in cases {
            let rate = Rate {
                amount,
                per: Duration::from_secs(seconds),
            };
            assert_eq!(text.parse(), Ok(rate), "{text}");
            assert_eq!(rate.to_string().parse(), Ok(rate), "{rate}");
        }
        for text in [
            "",
            "20",
            "/min",
            "20/",
            "-1/day",
            "k/day",
            "20/fortnight",
            "inf/day",
            "é/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
