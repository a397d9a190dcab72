//! What people see of the whole.

mod emulators;
