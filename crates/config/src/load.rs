//! From a file and the environment to a valid config, or to everything that is wrong.

use std::io;
use std::path::Path as FilePath;

use toml::de::DeTable;

use crate::check;
use crate::complete;
use crate::config::Config;
use crate::env::Env;
use crate::fill::{ReadFile, Sources};
use crate::problem::{Lines, Place, Problem, Problems};
use crate::read;
use crate::tree::Node;

/// The largest file read; a config is written by hand.
const LARGEST: u64 = 1 << 20;

/// Reads a file, with the process's environment or another.
///
/// Paths in `${file:PATH}` are relative to the file's folder.
///
/// # Errors
/// Every problem at once; one that the file cannot be read at all stands at its first line.
pub fn load(path: &FilePath, env: &Env) -> Result<Config, Problems> {
    let name = path.display().to_string();
    let folder = path.parent().unwrap_or(FilePath::new(""));
    let text = read_bounded(path).map_err(|error| {
        let place = Place::start(&name.as_str().into());
        Problems(vec![
            place.problem(String::new(), format!("cannot be read: {error}")),
        ])
    })?;
    parse(&text, &name, env, &|file| read_bounded(&folder.join(file)))
}

/// Reads a config from a text.
///
/// `file_name` is what problems call it; `read_file` is asked for `${file:PATH}`.
///
/// # Errors
/// Every problem at once, in the order of the file.
pub fn parse(
    text: &str,
    file_name: &str,
    env: &Env,
    read_file: ReadFile<'_>,
) -> Result<Config, Problems> {
    let lines = Lines::new(file_name, text);
    let mut problems = Vec::new();
    let mut root = match read_toml(text, &lines) {
        Ok(root) => root,
        Err(problems) => return Err(Problems(problems)),
    };
    Sources { env, read_file }.fill(&mut root, &mut problems);
    complete::override_from(env, &mut root, &mut problems);
    complete::add_built_ins(env, &mut root);
    let config = read::read(&mut root, &mut problems);
    let config = config.map(|config| check::check(config, &root, &mut problems));
    problems.sort_by(|a, b| {
        // Problems of the file come before those of variables.
        let by_place = |p: &Problem| (p.file != file_name, p.file.clone(), p.line, p.column);
        by_place(a).cmp(&by_place(b)).then_with(|| a.cmp(b))
    });
    problems.dedup();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(Problems(problems)),
    }
}

impl Config {
    /// The config of those who have no file.
    ///
    /// # Errors
    /// If the environment overrides something with a wrong value.
    pub fn default_for(env: &Env) -> Result<Self, Problems> {
        parse(
            "",
            "built-in",
            env,
            &|_| Err(io::ErrorKind::NotFound.into()),
        )
    }
}

/// The tree of a text; every error of syntax if it is not TOML.
fn read_toml(text: &str, lines: &Lines<'_>) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node::from_table(table.get_ref(), lines.place(0), lines));
    }
    let problems = errors.iter().take(20).map(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        lines
            .place(offset)
            .problem(String::new(), format!("not TOML: {}", error.message()))
    });
    let mut problems: Vec<Problem> = problems.collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(problems)
}

fn read_bounded(path: &FilePath) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(LARGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
