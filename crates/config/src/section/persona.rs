//! `[personas.NAME]`: who answers, and how.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::number;

/// Who answers, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Persona {
    /// What the model is told about itself.
    pub prompt: String,
    /// Models in order; the next one answers when one fails. If left out: all there are, remote
    /// ones first.
    pub models: Vec<String>,
    /// Spread of the choice of words; 0 always takes the most likely one.
    #[serde(serialize_with = "number::serialize")]
    pub temperature: f32,
    /// Only the most likely tokens that together reach this probability; 1 for all.
    #[serde(serialize_with = "number::serialize")]
    pub top_p: f32,
    /// Only this many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only tokens at least this share as likely as the most likely one; 0 for all.
    #[serde(serialize_with = "number::serialize")]
    pub min_p: f32,
    /// Makes what was said lately less likely; 1 for no effect.
    #[serde(serialize_with = "number::serialize")]
    pub repetition_penalty: f32,
    /// Makes the choice repeatable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Ends the answer; never part of it.
    pub stop: Vec<String>,
    /// The most tokens of an answer.
    pub max_tokens: usize,
    /// How much of the conversation the model reads again.
    pub history: History,
    /// Tools it may use.
    pub tools: Vec<String>,
    /// Flows it follows.
    pub flows: Vec<String>,
}

/// How much of the conversation the model reads again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// The most tokens.
    pub tokens: usize,
    /// Whether what no longer fits is summarized.
    pub summarize: bool,
}

impl Default for Persona {
    fn default() -> Self {
        Self {
            prompt: "You are a helpful member of this chat.".to_owned(),
            models: Vec::new(),
            temperature: 0.7,
            top_p: 0.95,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: None,
            stop: Vec::new(),
            max_tokens: 800,
            history: History::default(),
            tools: Vec::new(),
            flows: Vec::new(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            tokens: 3000,
            summarize: true,
        }
    }
}
