//! Generators around generators: each adds one kind of patience and keeps the seam's promises.
//!
//! They are stacked from the inside out: [`Timeouts`] around a model, [`Retry`] around that,
//! [`Circuit`] around that, all once for each model.
//! What to do when a model fails for good is decided above, where another prompt can be made for
//! another model's window.
//! A circuit belongs outside the retries, or these would knock at a door known to be closed.

mod circuit;
mod retry;
mod timeouts;

pub use circuit::{Circuit, Fuse};
pub use retry::{Backoff, Random, Retry};
pub use timeouts::{Patience, Timeouts};
