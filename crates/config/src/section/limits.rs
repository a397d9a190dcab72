//! `[limits]`: how much people and chats may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::rate::Rate;

/// How much people and chats may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Each person.
    pub per_person: Limit,
    /// Each chat.
    pub per_chat: Limit,
}

/// How much one may use; without limit where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// Messages, as in "20/min".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub messages: Option<Rate>,
    /// Tokens of prompts and answers, as in "200k/day".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub tokens: Option<Rate>,
    /// Money by the models' prices, as in "0.50/day".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub money: Option<Rate>,
}
