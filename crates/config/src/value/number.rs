//! Small numbers, written as a person would: 0.7, and not the nearest double of the nearest float.

use serde::{Serialize as _, Serializer};

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field over as it is"
)]
pub(crate) fn serialize<S: Serializer>(number: &f32, to: S) -> Result<S::Ok, S::Error> {
    number
        .to_string()
        .parse::<f64>()
        .unwrap_or(f64::from(*number))
        .serialize(to)
}
