//! Adds to what a file says: overrides from the environment, and what is built in.

use std::sync::Arc;

use toml::de::DeValue;

use crate::config::DEFAULT_PERSONA;
use crate::env::Env;
use crate::problem::{Lines, Place, Problem};
use crate::section::model::DEFAULT_SOURCE;
use crate::tree::{Entry, Node, Origin, Path, Table, Value};

/// What the names of overriding variables begin with.
const PREFIX: &str = "TERTULIA__";

/// Variables that stand for a whole account: the variable, and the account's platform and name.
const TOKENS: [(&str, &str); 2] = [("TELEGRAM_TOKEN", "telegram"), ("DISCORD_TOKEN", "discord")];

/// Applies `TERTULIA__SECTION__KEY`.
///
/// The value is taken as TOML if it is TOML, else as text.
pub(crate) fn override_from(env: &Env, root: &mut Node, problems: &mut Vec<Problem>) {
    for (variable, rest, text) in env.with_prefix(PREFIX) {
        let place = Place::start(&Arc::from(variable));
        let mut path = Path::default();
        let mut table = root.as_table_mut();
        let mut names = rest.split("__").peekable();
        while let (Some(name), Some(entries)) = (names.next(), table.take()) {
            let key = matching_key(entries, name);
            path = path.key(&key);
            if names.peek().is_none() {
                entries.insert(
                    key,
                    Entry {
                        key: place.clone(),
                        node: overriding(variable, text),
                    },
                );
                break;
            }
            let made = || Entry {
                key: place.clone(),
                node: Node::new(place.clone(), Value::Table(Table::new())),
            };
            table = entries.entry(key).or_insert_with(made).node.as_table_mut();
            if table.is_none() {
                let message = "it has no keys of its own to override".to_owned();
                problems.push(place.problem(path.to_string(), message));
            }
        }
    }
}

/// Adds what is there unless the file says otherwise: accounts whose tokens are in the
/// environment, the web page, a local model, a persona.
pub(crate) fn add_built_ins(env: &Env, root: &mut Node) {
    let place = root.place.clone();
    for (variable, platform) in TOKENS {
        if let Some(token) = env.get(variable) {
            let mut node = Node::text(Place::start(&Arc::from(variable)), token);
            node.origin = Origin::Override { text: None };
            add_account(root, platform, &place, Some(node));
        }
    }
    add_account(root, "web", &place, None);

    let entry = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, text)| {
            let node = Node::text(place.clone(), *text);
            (
                (*key).to_owned(),
                Entry {
                    key: place.clone(),
                    node,
                },
            )
        });
        Entry {
            key: place.clone(),
            node: Node::new(place.clone(), Value::Table(pairs.collect())),
        }
    };
    if let Some(models) = root.table_at("models", &place) {
        let local = || entry(&[("kind", "candle"), ("source", DEFAULT_SOURCE)]);
        let model = models.entry("local".to_owned()).or_insert_with(local);
        let is_candle = |entry: &Entry| {
            let kind = entry.node.as_table().and_then(|table| table.get("kind"));
            kind.is_none_or(|kind| kind.node.as_text() == Some("candle"))
        };
        if is_overriding(model) && is_candle(model) {
            supplement(model, local());
        }
    }
    if let Some(personas) = root.table_at("personas", &place) {
        personas
            .entry(DEFAULT_PERSONA.to_owned())
            .or_insert_with(|| entry(&[]));
    }
}

/// Adds an account named like its platform, unless there is one of that platform or that name.
fn add_account(root: &mut Node, platform: &str, place: &Place, token: Option<Node>) {
    let Some(accounts) = root.table_at("accounts", place) else {
        return;
    };
    let is_one = |entry: &Entry| {
        let kind = entry
            .node
            .as_table()
            .and_then(|table| table.get("platform"));
        kind.and_then(|kind| kind.node.as_text()) == Some(platform)
    };
    let same_name = accounts.get(platform);
    let only_overridden = same_name.is_some_and(is_overriding);
    if !only_overridden && (same_name.is_some() || accounts.values().any(is_one)) {
        return;
    }
    let mut table = Table::new();
    let mut add = |key: &str, node: Node| {
        table.insert(
            key.to_owned(),
            Entry {
                key: node.place.clone(),
                node,
            },
        );
    };
    add("platform", Node::text(place.clone(), platform));
    if let Some(token) = token {
        add("token", token);
    }
    let node = Node::new(place.clone(), Value::Table(table));
    let built_in = Entry {
        key: place.clone(),
        node,
    };
    match accounts.get_mut(platform) {
        Some(overridden) => supplement(overridden, built_in),
        None => {
            accounts.insert(platform.to_owned(), built_in);
        }
    }
}

/// Whether a table is there only because variables override keys of it.
fn is_overriding(entry: &Entry) -> bool {
    entry.key.file.starts_with(PREFIX)
}

/// Adds the keys of a built-in table that are not overridden.
fn supplement(overridden: &mut Entry, built_in: Entry) {
    let Value::Table(built_in) = built_in.node.value else {
        return;
    };
    if let Some(table) = overridden.node.as_table_mut() {
        for (key, entry) in built_in {
            table.entry(key).or_insert(entry);
        }
    }
}

fn overriding(variable: &str, text: &str) -> Node {
    let lines = Lines::new(variable, text);
    let mut node = match DeValue::parse(text) {
        Ok(value) => Node::from_value(value.get_ref(), 0, &lines),
        Err(_) => Node::text(lines.place(0), text),
    };
    mark(&mut node);
    node.origin = Origin::Override {
        text: Some(text.to_owned()),
    };
    node
}

/// Nothing of an override may be shown, however deep it lies.
fn mark(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(mark),
        Value::Table(table) => table.values_mut().for_each(|entry| mark(&mut entry.node)),
        _ => {}
    }
    node.origin = Origin::Override { text: None };
}

/// The key that a part of a variable's name means: the one in the file that differs only by case
/// and dashes, else the name in small letters.
fn matching_key(table: &Table, name: &str) -> String {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let meant = table.keys().find(|key| plain(key) == plain(name));
    meant.cloned().unwrap_or_else(|| name.to_ascii_lowercase())
}
