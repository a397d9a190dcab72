//! Values that a person writes as a short text: durations, rates, sizes, devices, secrets.

pub(crate) mod device;
pub(crate) mod duration;
pub(crate) mod listen;
pub(crate) mod names;
pub(crate) mod number;
pub(crate) mod rate;
pub(crate) mod secret;
pub(crate) mod size;
pub(crate) mod text;
