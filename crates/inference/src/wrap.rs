//! Generators around generators: each adds one kind of patience and keeps the seam's promises.
//!
//! They are stacked from the inside out: [`Timeouts`] around a model, [`Retry`] around that,
//! [`Circuit`] around that, all once for each model; then one [`Fallback`] over the models of a
//! persona.
//! A circuit belongs outside the retries, or these would knock at a door known to be closed.

mod circuit;
mod fallback;
mod retry;
mod timeouts;

pub use circuit::{Circuit, Fuse};
pub use fallback::{Fallback, OnFailure};
pub use retry::{Backoff, Random, Retry};
pub use timeouts::{Patience, Timeouts};
