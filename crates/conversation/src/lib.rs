//! What happens between hearing and answering.
//!
//! The way of a message, in reading order: [`listen`] decides what an event asks for, without any
//! I/O; [`Service`] commits that and wakes the conversation's lane; `lanes` takes turns in order;
//! `answer` makes one answer, from a command or from a model over the `window` of the transcript;
//! `live` shows it while it is being made; `deliver` brings it to the platform and settles doubts.
//!
//! Invariant: this crate names no platform, no model and no store, and reads no config file; all
//! of them come in behind their seams, as [`Settings`] and [`Parts`].

mod answer;
mod chats;
mod commands;
mod deliver;
mod lanes;
mod limits;
pub mod listen;
mod live;
mod operator;
mod patience;
mod service;
mod settings;
mod shared;
mod summary;
mod texts;
mod window;

pub use commands::menu;
pub use operator::Operator;
pub use service::{Parts, Service, Status};
pub use settings::{
    Account, Admission, Allowance, AnswerTo, Buttons, History, Limits, Model, Persona, Price, Rate,
    Settings,
};
