//! The languages that the house speaks for itself.

use serde::{Deserialize, Serialize};

/// A language of the fixed texts, chosen by the person's client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese, simplified.
    Chinese,
}

// === impl Language ===

impl Language {
    /// Every language there is a text for.
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// The best match for an IETF tag such as `zh-hans` or `en-GB`; English for the rest.
    pub fn from_tag(tag: &str) -> Self {
        let primary = tag
            .split(['-', '_', ',', ';'])
            .next()
            .unwrap_or_default()
            .trim();
        if primary.eq_ignore_ascii_case("zh") {
            Self::Chinese
        } else {
            Self::English
        }
    }

    /// The IETF tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
}
