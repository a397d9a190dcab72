//! `[models.NAME]`: what answers.

use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::value::device::Device;
use crate::value::size::Size;
use crate::value::{duration, secret};

/// The model that runs when nothing is configured.
pub const DEFAULT_SOURCE: &str = "smollm2-135m-instruct";

/// A model that answers.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Model {
    /// One that runs in this process.
    Candle(CandleModel),
    /// One behind an endpoint that speaks OpenAI's chat completions.
    OpenAi(OpenAiModel),
}

/// A model that runs in this process.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CandleModel {
    /// Catalogue name, path to a .gguf file or model folder, or hf:owner/repo[/file].
    pub source: String,
    /// Where it computes: auto, cpu, cuda:N or metal.
    #[schemars(with = "String")]
    pub device: Device,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// How many answers are computed together.
    pub slots: usize,
    /// How much memory may hold what was computed in earlier turns.
    #[schemars(with = "String")]
    pub cache: Size,
}

/// A model behind an endpoint that speaks OpenAI's chat completions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAiModel {
    /// The address up to and with /v1.
    pub base_url: String,
    /// The key; servers of one's own often need none.
    #[serde(
        default,
        with = "secret::optional",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>")]
    pub api_key: Option<SecretString>,
    /// The model's name at the endpoint.
    pub model: String,
    /// Tokens of prompt and answer together.
    #[serde(default = "remote_context")]
    pub context: usize,
    /// How long each wait may take.
    #[serde(default)]
    pub timeout: Timeout,
    /// How often a failed request is sent again before the next model answers.
    #[serde(default = "retries")]
    pub retries: u32,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// How long each wait may take; 0 for as long as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeout {
    /// Until there is a connection.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub connect: Duration,
    /// From the request to the first piece of text.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub first_token: Duration,
    /// From one piece of text to the next.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub between_tokens: Duration,
    /// From the request to the end.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub total: Duration,
}

/// Money for a million tokens, in the currency of the budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

// === impl Model ===

impl Model {
    /// Tokens of prompt and answer together.
    pub fn context(&self) -> usize {
        match self {
            Self::Candle(model) => model.context,
            Self::OpenAi(model) => model.context,
        }
    }

    /// Whether it runs in this process.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Candle(_))
    }
}

impl<'de> Deserialize<'de> for Model {
    /// Reads the table whose `kind` says what else is in it; see `read.rs` for why it is not
    /// derived.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "kind", rename_all = "lowercase")]
        enum ByKind {
            Candle(CandleModel),
            OpenAi(OpenAiModel),
        }
        Ok(match ByKind::deserialize(from)? {
            ByKind::Candle(model) => Self::Candle(model),
            ByKind::OpenAi(model) => Self::OpenAi(model),
        })
    }
}

// === defaults ===

impl Default for CandleModel {
    fn default() -> Self {
        Self {
            source: DEFAULT_SOURCE.to_owned(),
            device: Device::Auto,
            context: 4096,
            slots: 16,
            cache: Size(512_000_000),
        }
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(30),
            between_tokens: Duration::from_secs(20),
            total: Duration::from_secs(5 * 60),
        }
    }
}

fn remote_context() -> usize {
    8192
}

fn retries() -> u32 {
    2
}
