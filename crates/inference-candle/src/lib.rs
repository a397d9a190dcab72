//! Local models: files, tokenizers, the decoder and its batching engine.
//!
//! [`Candle`] is a [`Generator`](tertulia_inference::Generator) that runs in this process.
//! It joins the parts: [`weights`] reads a file, [`decoder`] computes with it, [`tokenizer`],
//! [`template`] and [`text`] turn prompts into tokens and tokens into text, and [`engine`] lets
//! many answers grow together on one thread.
//! [`catalogue`] and [`pull`] find and fetch the files.

pub mod bench;
pub mod catalogue;
pub mod decoder;
mod device;
pub mod engine;
mod error;
mod generator;
pub mod pull;
pub mod sampler;
pub mod template;
#[cfg(test)]
mod testing;
pub mod text;
pub mod tokenizer;
pub mod weights;

pub use error::ModelFileError;
pub use generator::{Candle, ModelFiles, Options};
