//! `[roles]`: who may do more than others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may do more than others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    /// People who may use the commands of admins, as `platform:id`.
    pub admin: Vec<String>,
}
