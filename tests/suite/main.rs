//! What people see of the whole.

mod emulators;
mod arrows;
mod crash;
