//! Local models: files, tokenizers, the decoder and its batching engine.
pub mod decoder;
mod device;
mod error;
pub mod sampler;
#[cfg(test)]
mod testing;
pub mod weights;
pub use error::ModelFileError;
