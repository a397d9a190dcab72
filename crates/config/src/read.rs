//! Reads a tree into the structs of the sections, and finds everything wrong on the way.
//!
//! Serde stops at the first error. So each error is noted with the path where it happened, what
//! caused it is patched or taken out, and the tree is read again, until nothing is wrong or too
//! much is.
//!
//! A table whose tag says what else is in it (`platform`, `kind`) is read as an enum whose serde
//! name is the tag's key: serde's own tagged enums read such a table through a buffer that forgets
//! all places.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, Deserializer};

use crate::config::Config;
use crate::problem::Problem;
use crate::tree::{Entry, Node, Origin, Path, Step, Table, Value};

/// Problems after which reading ends: nobody corrects more at a time, and each costs a reading.
const MOST: usize = 100;

/// Keys that say what else is in their table; see above.
const TAGS: [&str; 2] = ["platform", "kind"];

/// What platforms and kinds are planned, so that their names are no typing errors.
const PLANNED: [&str; 4] = ["anthropic", "gemini", "slack", "matrix"];

/// Reads the tree, patching what is wrong with it; nothing if it is past reading.
pub(crate) fn read(root: &mut Node, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut reported = BTreeSet::new();
    // Each round notes a problem, or patches or removes a value.
    for _ in 0..4 * MOST {
        let failure = match Config::deserialize(Reader {
            node: root,
            tag: None,
        }) {
            Ok(config) => return Some(config),
            Err(failure) => failure,
        };
        let mut path = Path(failure.path.into_iter().rev().collect());
        path.0.extend(failure.key.map(Step::Key));
        let known = root.nearest(&path).origin == Origin::Patch;
        if !known && reported.insert((path.clone(), failure.message.clone())) {
            if problems.len() >= MOST {
                return None;
            }
            problems.push(problem(root, &path, &failure.message));
        }
        if !mend(root, &path, failure.repair, known) {
            return None;
        }
    }
    None
}

/// What is wrong at this path, without anything that must not be shown.
fn problem(root: &Node, path: &Path, message: &str) -> Problem {
    let node = root.nearest(path);
    let place = match (root.get(path), root.entry(path)) {
        // For a key the file has but should not have, the key is the place.
        (Some(_), Some(entry)) if message.starts_with(UNKNOWN) => &entry.key,
        _ => &node.place,
    };
    let message = match (&node.origin, &node.value) {
        (Origin::Filled { written }, Value::Text(text)) => {
            message.replace(&format!("{text:?}"), &format!("{written:?}"))
        }
        (Origin::Override { .. }, Value::Text(text)) => {
            message.replace(&format!("{text:?}"), crate::value::secret::HIDDEN)
        }
        _ => message.to_owned(),
    };
    place.problem(path.to_string(), message)
}

/// Changes the tree so that reading comes further; whether it could.
fn mend(root: &mut Node, path: &Path, repair: Repair, known: bool) -> bool {
    let patch = |place| {
        let mut node = Node::text(place, "");
        node.origin = Origin::Patch;
        node
    };
    match repair {
        Repair::Remove => remove_or_parent(root, path),
        Repair::RemoveParent => path
            .parent()
            .is_some_and(|parent| remove_or_parent(root, &parent)),
        Repair::Patch if known => remove_or_parent(root, path),
        Repair::Patch => match root.get_mut(path) {
            Some(node) => {
                *node = patch(node.place.clone());
                true
            }
            // A missing key: all that a file must name are texts.
            None => {
                let Some(parent) = path.parent() else {
                    return false;
                };
                let Some(Step::Key(key)) = path.0.last() else {
                    return false;
                };
                let Some(node) = root.get_mut(&parent) else {
                    return false;
                };
                let place = node.place.clone();
                let Some(table) = node.as_table_mut() else {
                    return false;
                };
                let node = patch(place.clone());
                table.insert(key.clone(), Entry { key: place, node });
                true
            }
        },
    }
}

fn remove_or_parent(root: &mut Node, path: &Path) -> bool {
    root.remove(path)
        || path
            .parent()
            .is_some_and(|parent| remove_or_parent(root, &parent))
}

// === Failure ===

/// Why a value cannot be read.
#[derive(Debug)]
struct Failure {
    /// The way to it, from the inside out.
    path: Vec<Step>,
    message: String,
    repair: Repair,
    /// The key a message is about that is not in the path yet.
    key: Option<String>,
}

/// What lets reading come further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// Put something in its place.
    Patch,
    /// Take it out.
    Remove,
    /// Take out the table around it.
    RemoveParent,
}

const UNKNOWN: &str = "there is no such key";

impl Failure {
    fn new(message: String, repair: Repair) -> Self {
        Self {
            path: Vec::new(),
            message,
            repair,
            key: None,
        }
    }

    fn within(mut self, step: Step) -> Self {
        self.path.extend(self.key.take().map(Step::Key));
        self.path.push(step);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), Repair::Patch)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!(
            "expected {}, found {}",
            in_words(expected),
            found_as(found)
        ))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        if PLANNED.contains(&variant) {
            return Self::custom(format_args!("{variant:?} is not supported yet"));
        }
        let all = listed(expected);
        match similar(variant, expected.iter().copied()) {
            Some(meant) => Self::custom(format_args!(
                "{variant:?} is not one of {all}; did you mean {meant:?}?"
            )),
            None => Self::custom(format_args!("{variant:?} is not one of {all}")),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = match similar(field, expected.iter().copied()) {
            Some(meant) => format!("{UNKNOWN}; did you mean {meant:?}?"),
            None => format!("{UNKNOWN}; there are {}", listed(expected)),
        };
        Self {
            key: Some(field.to_owned()),
            ..Self::new(message, Repair::Remove)
        }
    }

    fn missing_field(field: &'static str) -> Self {
        let message = "it is missing".to_owned();
        Self {
            key: Some(field.to_owned()),
            ..Self::new(message, Repair::Patch)
        }
    }
}

/// What serde expects, for people who do not know its types.
fn in_words(expected: &dyn Expected) -> String {
    match expected.to_string() {
        name if ["usize", "u8", "u16", "u32", "u64"].contains(&name.as_str()) => {
            "a whole number of at least 0".to_owned()
        }
        name if ["f32", "f64"].contains(&name.as_str()) => "a number".to_owned(),
        name if name.starts_with("struct ") || name.starts_with("a map") => "a table".to_owned(),
        name if name.starts_with("a sequence") => "a list".to_owned(),
        name => match name.as_str() {
            "a boolean" => "true or false".to_owned(),
            "variant identifier" => "a string".to_owned(),
            _ => name,
        },
    }
}

fn found_as(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => format!("{number:?}"),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// The name that may have been meant: two of its letters or a third may differ.
pub(crate) fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(64).collect();
    let distances = known
        .into_iter()
        .map(|known| (distance(&name, known), known));
    let (distance, known) = distances.min()?;
    let allowed = if known.len() < 5 {
        1
    } else {
        (known.len() / 3).max(2)
    };
    (distance <= allowed).then_some(known)
}

/// Letters to change, add, take out or swap with their neighbours.
fn distance(name: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut rows = vec![vec![0; known.len() + 1]; name.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=known.len()).collect();
    for i in 1..=name.len() {
        for j in 1..=known.len() {
            let change = usize::from(name[i - 1] != known[j - 1]);
            let mut best = (rows[i - 1][j - 1] + change)
                .min(rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1);
            let swapped = i > 1 && j > 1 && name[i - 1] == known[j - 2];
            if swapped && name[i - 2] == known[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[name.len()][known.len()]
}

// === Reader ===

/// A value being read.
#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    /// The key that said what this table is, and is not to be read again.
    tag: Option<&'static str>,
}

struct Entries<'a> {
    rest: std::collections::btree_map::Iter<'a, String, Entry>,
    tag: Option<&'static str>,
    value: Option<(&'a str, &'a Node)>,
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

/// A table whose tag was read.
struct Tagged<'a> {
    variant: &'a Node,
    tag: &'static str,
    table: &'a Node,
}

impl<'a> Reader<'a> {
    fn of(node: &'a Node) -> Self {
        Self { node, tag: None }
    }

    /// The text of a variable whose value looks like something else.
    fn plain_text(self) -> Option<&'a str> {
        match &self.node.origin {
            Origin::Override { text: Some(text) } => Some(text),
            _ => None,
        }
    }

    fn unexpected(self, expected: &dyn Expected) -> Failure {
        let found = match &self.node.value {
            Value::Text(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Date => Unexpected::Other("a date"),
            Value::List(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        };
        de::Error::invalid_type(found, expected)
    }

    fn table<V: Visitor<'a>>(self, table: &'a Table, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_map(Entries {
            rest: table.iter(),
            tag: self.tag,
            value: None,
        })
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Date => Err(de::Error::invalid_type(
                Unexpected::Other("a date"),
                &visitor,
            )),
            Value::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
            }),
            Value::Table(table) => self.table(table, visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.plain_text() {
            Some(text) if self.node.as_text().is_none() => visitor.visit_borrowed_str(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let is_tag = TAGS.contains(&name);
        match &self.node.value {
            Value::Text(text) if !is_tag => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Table(table) if is_tag => match table.get(name) {
                Some(entry) => visitor.visit_enum(Tagged {
                    variant: &entry.node,
                    tag: name,
                    table: self.node,
                }),
                None => Err(Failure {
                    key: Some(name.to_owned()),
                    ..Failure::new("it is missing".to_owned(), Repair::RemoveParent)
                }),
            },
            _ if is_tag => Err(self.unexpected(&"a table")),
            _ => Err(self.unexpected(&format!("one of {}", listed(variants)).as_str())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failure> {
        let tag = self.tag;
        let Some((key, entry)) = self.rest.find(|(key, _)| Some(key.as_str()) != tag) else {
            return Ok(None);
        };
        self.value = Some((key, &entry.node));
        let key: StrDeserializer<'a, Failure> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let (key, node) = self.value.take().ok_or_else(|| {
            Failure::new("a value without a key".to_owned(), Repair::RemoveParent)
        })?;
        seed.deserialize(Reader::of(node))
            .map_err(|failure| failure.within(Step::Key(key.to_owned())))
    }
}

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader::of(item))
            .map(Some)
            .map_err(|failure| failure.within(Step::Index(index)))
    }
}

impl<'a> EnumAccess<'a> for Tagged<'a> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'a>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let name = match self.variant.as_text() {
            Some(text) => {
                let name: StringDeserializer<Failure> = text.to_owned().into_deserializer();
                seed.deserialize(name)
            }
            None => seed.deserialize(Reader::of(self.variant)),
        };
        let name = name.map_err(|failure| Failure {
            repair: Repair::RemoveParent,
            ..failure.within(Step::Key(self.tag.to_owned()))
        })?;
        Ok((name, self))
    }
}

impl<'a> VariantAccess<'a> for Tagged<'a> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(Reader {
            node: self.table,
            tag: Some(self.tag),
        })
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        Reader {
            node: self.table,
            tag: Some(self.tag),
        }
        .deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        Reader {
            node: self.table,
            tag: Some(self.tag),
        }
        .deserialize_any(visitor)
    }
}
