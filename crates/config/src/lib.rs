//! The shape of the config files: defaults, validation with places, published schema.
//!
//! [`load()`] and [`parse`] turn a file and the environment into a [`Config`] that is valid, or into
//! every [`Problem`] it has, each with its place. The sections are plain structs; `app` turns them
//! into constructor arguments, and no other crate sees them.
//!
//! To add a key: a field with its default in `section/`, a check in `check/` if its type does not
//! say everything, a line in `config/example.toml`, and a refreshed `config/schema.json`
//! (`UPDATE_EXPECT=1 cargo test`).

mod check;
mod complete;
mod config;
mod env;
mod fill;
mod load;
mod problem;
mod read;
mod section;
mod show;
mod tree;
mod value;

pub use config::{Config, DEFAULT_PERSONA};
pub use env::Env;
pub use load::{load, parse};
pub use problem::{Problem, Problems};
pub use section::access::Roles;
pub use section::account::{
    Account, Allow, Answer, Buttons, Deny, DiscordAccount, Groups, Mode, Scope, Shards,
    TelegramAccount, WebAccount,
};
pub use section::limits::{Limit, Limits};
pub use section::model::{CandleModel, DEFAULT_SOURCE, Model, OpenAiModel, Price, Timeout};
pub use section::persona::{History, Persona};
pub use section::server::Server;
pub use section::storage::Storage;
pub use show::{Changes, EXAMPLE, schema};
pub use value::device::Device;
pub use value::rate::Rate;
pub use value::size::Size;
