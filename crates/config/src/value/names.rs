//! Lists of ids and @names; ids may be written as numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

struct Name(String);

struct NameVisitor;

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NameVisitor)
    }
}

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"an id, a @name or "*""#)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        Ok(Name(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Name, E> {
        Ok(Name(number.to_string()))
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Vec::<Name>::deserialize(from).map(|names| names.into_iter().map(|name| name.0).collect())
}
