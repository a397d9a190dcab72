//! The world that tests run in: emulated platforms, a scripted model endpoint, the real binary as
//! a child process, and a browser.
//!
//! These are judges of the product, so they share no code with it: they are built from what the
//! platforms document and do, and they are strict where the platforms forgive.
//! Invariant: an emulator that saw a violation nobody read fails its test when it is dropped.

pub mod browser;
mod net;
pub mod openai;
pub mod process;
pub mod telegram;
