//! The seam of a model.
//!
//! A [`Generator`] takes a valid [`Request`] and yields a stream of text that ends with
//! [`Chunk::Done`]; a stream that ends otherwise has failed.
//! Patience is added by wrappers that are generators themselves: [`wrap::Timeouts`],
//! [`wrap::Retry`], [`wrap::Circuit`].
//! To add a kind of model, implement [`Generator`] in a crate on the adapters' floor and run
//! `contract` (feature `testing`) against it.

mod error;
mod generator;
mod request;
pub mod wrap;

#[cfg(any(test, feature = "testing"))]
pub mod contract;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use error::GenerateError;
pub use generator::{Chunk, Finish, Generator, ModelInfo, TextStream, TokenCount};
pub use request::{Prompt, PromptMessage, Request, RequestError, Role, Sampling};
