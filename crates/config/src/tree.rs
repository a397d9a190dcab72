//! A config as a tree of values that know their places.
//!
//! Everything that adds to a file (variables, overrides, what is built in) works on this tree, so
//! that a problem found at the very end still knows whose line it is.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::problem::{Lines, Place};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    /// Where the value came from.
    pub(crate) origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It stands there as it is.
    Written,
    /// Something was put into it; this is what stands in the file. Only this may be shown.
    Filled { written: String },
    /// It comes from a variable and must not be shown. `text` is the variable's value as it is,
    /// for keys that want a text where the value looks like something else.
    Override { text: Option<String> },
    /// It stands in for something wrong that has been reported.
    Patch,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

pub(crate) type Table = BTreeMap<String, Entry>;

/// A key of a table, where it stands, and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Place,
    pub(crate) node: Node,
}

/// The way from the root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(pub(crate) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

// === impl Node ===

impl Node {
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self {
            place,
            value,
            origin: Origin::Written,
        }
    }

    pub(crate) fn text(place: Place, text: impl Into<String>) -> Self {
        Self::new(place, Value::Text(text.into()))
    }

    /// What a file says.
    pub(crate) fn from_table(table: &DeTable<'_>, place: Place, lines: &Lines<'_>) -> Self {
        let entries = table.iter().map(|(key, value)| {
            let entry = Entry {
                key: lines.place(key.span().start),
                node: Self::from_value(value.get_ref(), value.span().start, lines),
            };
            (key.get_ref().to_string(), entry)
        });
        Self::new(place, Value::Table(entries.collect()))
    }

    pub(crate) fn from_value(value: &DeValue<'_>, offset: usize, lines: &Lines<'_>) -> Self {
        let place = lines.place(offset);
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::Integer(number),
                    // Too large for any key: let the type check say that it expected less.
                    Err(_) => Value::Float(f64::INFINITY),
                }
            }
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(items) => {
                let items = items.iter();
                let nodes = items
                    .map(|item| Self::from_value(item.get_ref(), item.span().start, lines))
                    .collect();
                Value::List(nodes)
            }
            DeValue::Table(table) => return Self::from_table(table, place, lines),
        };
        Self::new(place, value)
    }

    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn as_table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The table under this key; made if it is not there, none if something else is.
    pub(crate) fn table_at(&mut self, key: &str, place: &Place) -> Option<&mut Table> {
        let entry = self.as_table_mut()?.entry(key.to_owned());
        let made = || Entry {
            key: place.clone(),
            node: Self::new(place.clone(), Value::Table(Table::new())),
        };
        entry.or_insert_with(made).node.as_table_mut()
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Self> {
        path.0
            .iter()
            .try_fold(self, |node, step| match (step, &node.value) {
                (Step::Key(key), Value::Table(table)) => table.get(key).map(|entry| &entry.node),
                (Step::Index(index), Value::List(items)) => items.get(*index),
                _ => None,
            })
    }

    pub(crate) fn get_mut(&mut self, path: &Path) -> Option<&mut Self> {
        path.0
            .iter()
            .try_fold(self, |node, step| match (step, &mut node.value) {
                (Step::Key(key), Value::Table(table)) => {
                    table.get_mut(key).map(|entry| &mut entry.node)
                }
                (Step::Index(index), Value::List(items)) => items.get_mut(*index),
                _ => None,
            })
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, path: &Path) -> Option<&Entry> {
        let (Step::Key(key), parent) = path.split()? else {
            return None;
        };
        self.get(&parent)?.as_table()?.get(key)
    }

    /// Takes a value out; whether there was one.
    pub(crate) fn remove(&mut self, path: &Path) -> bool {
        let Some((step, parent)) = path.split() else {
            return false;
        };
        match (step, self.get_mut(&parent).map(|node| &mut node.value)) {
            (Step::Key(key), Some(Value::Table(table))) => table.remove(key).is_some(),
            (Step::Index(index), Some(Value::List(items))) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// The value at this path, or the nearest one around it.
    pub(crate) fn nearest(&self, path: &Path) -> &Self {
        let mut node = self;
        for length in 1..=path.0.len() {
            match self.get(&Path(path.0[..length].to_vec())) {
                Some(found) => node = found,
                None => break,
            }
        }
        node
    }
}

// === impl Path ===

impl Path {
    /// The path of these keys.
    pub(crate) fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| Step::Key(key.to_owned()))
                .collect(),
        )
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        self.split().map(|(_, parent)| parent)
    }

    fn step(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.0.push(step);
        path
    }

    fn split(&self) -> Option<(&Step, Self)> {
        let (last, parent) = self.0.split_last()?;
        Some((last, Self(parent.to_vec())))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
