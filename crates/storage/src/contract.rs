//! Behaviours that every store keeps.
