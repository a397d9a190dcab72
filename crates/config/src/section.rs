//! The sections of a file, one struct each, with their defaults beside them.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod limits;
pub(crate) mod model;
pub(crate) mod persona;
pub(crate) mod server;
pub(crate) mod storage;
