//! Puts variables and files into texts: `${VAR}`, `${file:PATH}`, and `$$` for a dollar sign.

use std::io;
use std::path::Path as FilePath;

use crate::env::Env;
use crate::problem::Problem;
use crate::tree::{Node, Origin, Path, Step, Value};

/// Reads a file that a config refers to.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&FilePath) -> io::Result<String>;

/// Where values come from.
pub(crate) struct Sources<'a> {
    pub(crate) env: &'a Env,
    pub(crate) read_file: ReadFile<'a>,
}

enum Failure {
    /// The variable is not set.
    Unset(String),
    /// Something else, in words.
    Wrong(String),
}

/// What happened to a value.
enum Filled {
    Kept,
    /// It stands for an optional secret whose variable is unset, so it is as if it were not there.
    Absent,
}

/// Keys that may be left out, and so count as left out when their variable is unset; a star stands
/// for any name.
const OPTIONAL: [&[&str]; 3] = [
    &["server", "admin_token"],
    &["accounts", "*", "webhook_secret"],
    &["models", "*", "api_key"],
];

impl Sources<'_> {
    /// Fills every text below `node`; what cannot be filled is reported and patched.
    pub(crate) fn fill(&self, root: &mut Node, problems: &mut Vec<Problem>) {
        self.fill_node(root, &Path::default(), problems);
    }

    fn fill_node(&self, node: &mut Node, path: &Path, problems: &mut Vec<Problem>) -> Filled {
        match &mut node.value {
            Value::Text(text) => match self.fill_text(text) {
                Ok(None) => {}
                Ok(Some(filled)) => {
                    node.origin = Origin::Filled {
                        written: std::mem::replace(text, filled),
                    };
                }
                Err(Failure::Unset(_)) if is_optional(path) => return Filled::Absent,
                Err(failure) => {
                    problems.push(node.place.problem(path.to_string(), failure.message()));
                    node.origin = Origin::Patch;
                }
            },
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill_node(item, &path.index(index), problems);
                }
            }
            Value::Table(table) => table.retain(|key, entry| {
                let filled = self.fill_node(&mut entry.node, &path.key(key), problems);
                matches!(filled, Filled::Kept)
            }),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Date => {}
        }
        Filled::Kept
    }

    /// The filled text; none if there is nothing to fill.
    fn fill_text(&self, text: &str) -> Result<Option<String>, Failure> {
        if !text.contains("${") && !text.contains("$$") {
            return Ok(None);
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                filled.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let unclosed =
                    || Failure::Wrong(r#""${" without "}"; "$$" is a dollar sign"#.into());
                let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
                filled.push_str(&self.value_of(name)?);
                rest = after;
            } else {
                filled.push('$');
            }
        }
        filled.push_str(rest);
        Ok(Some(filled))
    }

    fn value_of(&self, name: &str) -> Result<String, Failure> {
        if let Some(file) = name.strip_prefix("file:") {
            let text = (self.read_file)(FilePath::new(file))
                .map_err(|error| Failure::Wrong(format!("cannot read {file:?}: {error}")))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(text.strip_suffix('\r').unwrap_or(text).to_owned());
        }
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(letters) {
            let message = format!("{name:?} is not the name of a variable, nor file:PATH");
            return Err(Failure::Wrong(message));
        }
        self.env
            .get(name)
            .map(str::to_owned)
            .ok_or_else(|| Failure::Unset(name.to_owned()))
    }
}

// === impl Failure ===

impl Failure {
    fn message(self) -> String {
        match self {
            Self::Unset(name) => format!("the environment variable {name} is not set"),
            Self::Wrong(message) => message,
        }
    }
}

fn is_optional(path: &Path) -> bool {
    OPTIONAL.iter().any(|keys| {
        let fits = |(step, key): (&Step, &&str)| match step {
            Step::Key(name) => *key == "*" || name == key,
            Step::Index(_) => false,
        };
        keys.len() == path.0.len() && path.0.iter().zip(*keys).all(fits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_texts() {
        let env: Env = [("A", "1"), ("B_2", "two"), ("EMPTY", "")]
            .into_iter()
            .collect();
        let read_file = |path: &FilePath| match path.to_str() {
            Some("key") => Ok("s3cret\r\n".to_owned()),
            Some("lines") => Ok("a\n\n".to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let sources = Sources {
            env: &env,
            read_file: &read_file,
        };
        let cases = [
            ("plain $5", "plain $5"),
            ("${A}", "1"),
            ("<${A}${B_2}>", "<1two>"),
            ("$${A} $$", "${A} $"),
            ("${file:key}", "s3cret"),
            ("${file:lines}", "a\n"),
            ("a ${A} $b", "a 1 $b"),
        ];
        for (text, filled) in cases {
            let got = sources.fill_text(text).ok().expect("it can be filled");
            assert_eq!(got.as_deref().unwrap_or(text), filled);
        }
        for (text, says) in [
            ("${C}", "C is not set"),
            ("${EMPTY}", "EMPTY is not set"),
            ("${A", "without"),
            ("${}", "not the name"),
            ("${A B}", "not the name"),
            ("${file:none}", "cannot read"),
        ] {
            let failure = sources.fill_text(text).expect_err("it cannot").message();
            assert!(failure.contains(says), "{text}: {failure}");
        }
    }
}
