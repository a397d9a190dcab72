//! What types cannot say: names that must exist, ranges, addresses, things that go together.
//!
//! Everything is checked, whatever else is wrong; what stands in for something reported already is
//! left alone.

mod accounts;
mod models;
mod personas;

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Config;
use crate::problem::Problem;
use crate::read::similar;
use crate::tree::{Node, Origin, Path};

/// Platforms that people can come from.
const PLATFORMS: [&str; 3] = ["telegram", "discord", "web"];

/// The tree, for places, and what was found.
pub(crate) struct Check<'a> {
    root: &'a Node,
    problems: &'a mut Vec<Problem>,
}

/// Checks a config and completes what depends on names in it.
pub(crate) fn check(config: Config, root: &Node, problems: &mut Vec<Problem>) -> Config {
    let mut check = Check { root, problems };
    check.names();
    check.server(&config);
    check.storage(&config);
    check.roles(&config);
    for (name, key) in &config.api_keys {
        check.secret(&Path::keys(["api_keys", name]), key);
    }
    accounts::check(&config, &mut check);
    models::check(&config, &mut check);
    personas::check(&config, &mut check);
    personas::with_models(config)
}

impl Check<'_> {
    /// Notes a problem with the value at this path.
    pub(crate) fn report(&mut self, path: &Path, message: impl Into<String>) {
        let node = self.root.nearest(path);
        if node.origin != Origin::Patch {
            self.problems
                .push(node.place.problem(path.to_string(), message.into()));
        }
    }

    /// A text for a message, unless it must not be shown.
    pub(crate) fn shown(&self, path: &Path, text: &str) -> String {
        match &self.root.nearest(path).origin {
            Origin::Written | Origin::Patch => format!("{text:?}"),
            Origin::Filled { written } => format!("{written:?}"),
            Origin::Override { .. } => crate::value::secret::HIDDEN.to_owned(),
        }
    }

    /// Notes a name that stands for nothing.
    pub(crate) fn reference(&mut self, path: &Path, section: &str, name: &str) {
        let known = self.keys_of(section);
        if known.contains(name) {
            return;
        }
        let noun = section.trim_end_matches('s');
        let hint = match similar(name, known.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => {
                let known: Vec<&str> = known.into_iter().take(8).collect();
                format!("there are {}", known.join(", "))
            }
        };
        let name = self.shown(path, name);
        self.report(path, format!("there is no {noun} {name}; {hint}"));
    }

    /// Notes an address that is none.
    pub(crate) fn address(&mut self, path: &Path, address: &str, schemes: &[&str]) {
        let host = address.split_once("://").and_then(|(scheme, rest)| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            schemes.contains(&scheme).then_some(host)
        });
        let is_host = |host: &str| !host.is_empty() && !host.starts_with(':');
        if host.is_none_or(|host| !is_host(host)) || address.contains(char::is_whitespace) {
            let schemes: Vec<String> = schemes.iter().map(|s| format!("{s}://HOST")).collect();
            let shown = self.shown(path, address);
            self.report(
                path,
                format!("{shown} is not an address {}", schemes.join(" or ")),
            );
        }
    }

    /// Notes an empty secret.
    pub(crate) fn secret(&mut self, path: &Path, secret: &SecretString) {
        let text = secret.expose_secret();
        if text.is_empty() {
            self.report(path, "it is empty; leave the key out for none");
        } else if text.trim() != text || text.contains(char::is_control) {
            self.report(
                path,
                "it has spaces or line ends around it or control characters in it",
            );
        }
    }

    /// Notes a value out of its range.
    pub(crate) fn within(&mut self, path: &Path, value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.report(path, format!("it must be from {low} to {high}"));
        }
    }

    /// Notes a count out of its range.
    pub(crate) fn count(&mut self, path: &Path, value: usize, low: usize, high: usize) {
        if !(low..=high).contains(&value) {
            self.report(path, format!("it must be from {low} to {high}"));
        }
    }

    fn keys_of(&self, section: &str) -> BTreeSet<&str> {
        let table = self
            .root
            .get(&Path::keys([section]))
            .and_then(Node::as_table);
        table
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
            .collect()
    }

    /// Names that people gave; they become parts of paths, metrics and commands.
    fn names(&mut self) {
        for section in ["accounts", "models", "personas", "api_keys"] {
            let path = Path::keys([section]);
            let Some(table) = self.root.get(&path).and_then(Node::as_table) else {
                continue;
            };
            for (name, entry) in table {
                let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if !(1..=64).contains(&name.len()) || !name.chars().all(letters) {
                    let message = "a name has 1 to 64 of the letters A-Z a-z 0-9 _ -";
                    let key = path.key(name).to_string();
                    self.problems
                        .push(entry.key.problem(key, message.to_owned()));
                }
            }
        }
    }

    fn server(&mut self, config: &Config) {
        let path = Path::keys(["server"]);
        if let Some(token) = &config.server.admin_token {
            self.secret(&path.key("admin_token"), token);
        }
        self.count(&path.key("lanes"), config.server.lanes, 1, 10_000);
    }

    fn storage(&mut self, config: &Config) {
        let path = Path::keys(["storage", "url"]);
        let url = config.storage.url.expose_secret();
        match url.strip_prefix("sqlite:") {
            Some("" | "//") => self.report(&path, "it names no file"),
            Some(_) => {}
            None => {
                let known = ["postgres", "postgresql"].iter();
                if !known
                    .into_iter()
                    .any(|scheme| url.starts_with(&format!("{scheme}://")))
                {
                    self.report(&path, "it is neither sqlite:PATH nor postgres://HOST/NAME");
                }
            }
        }
        if let Some(redis) = &config.storage.redis {
            let path = Path::keys(["storage", "redis"]);
            if !["redis://", "rediss://"]
                .iter()
                .any(|s| redis.expose_secret().starts_with(s))
            {
                self.report(&path, "it is not redis://HOST/NUMBER");
            }
        }
    }

    fn roles(&mut self, config: &Config) {
        for (index, person) in config.roles.admin.iter().enumerate() {
            let path = Path::keys(["roles", "admin"]).index(index);
            match person.split_once(':') {
                Some((platform, id)) if PLATFORMS.contains(&platform) && !id.is_empty() => {}
                _ => {
                    let person = self.shown(&path, person);
                    let message = format!(r#"{person} is not a person such as "telegram:123456""#);
                    self.report(&path, message);
                }
            }
        }
    }
}
