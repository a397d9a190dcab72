//! Remote endpoints: the wire formats of model servers.
//!
//! Each kind of endpoint is a module that turns a request into its format and its answer into the
//! seam's chunks and errors. [`OpenAi`] speaks chat completions, as OpenAI and most other servers
//! do.
//!
//! Waits after the connection and retries are wrappers of the seam; an endpoint does
//! one request, once.

mod estimate;
mod openai;
mod sse;
mod stops;

pub use openai::{OpenAi, OpenAiSettings, SettingsError};
