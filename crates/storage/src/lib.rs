//! The seam of the store.
