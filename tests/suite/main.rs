//! What people see of the whole.

mod arrows;
mod bounds;
mod cli;
mod crash;
mod drain;
mod emulators;
mod endpoint;
mod local;
mod markup;
mod readme;
mod reload;
mod telegram;
mod visitor;
mod web;
