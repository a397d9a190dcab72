//! The floors of the house: arrows point down only.
//!
//! The table of `crates/README.md` in a form that a machine reads; both change together.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crates by floor, from the ground up.
const FLOORS: [&[&str]; 6] = [
    &["domain", "config"],
    &["platform", "inference", "storage", "markup"],
    &[
        "platform-telegram",
        "platform-web",
        "inference-candle",
        "inference-remote",
        "storage-sqlite",
    ],
    &["conversation"],
    &["admin"],
    &["app"],
];

/// The floor of the adapters: only the composition root may name one of them.
const ADAPTERS: usize = 2;

/// Heavy libraries and the only crates that may use them.
const WRAPPED: [(&str, &[&str]); 7] = [
    ("teloxide-core", &["platform-telegram"]),
    ("sqlx", &["storage-sqlite"]),
    ("candle-core", &["inference-candle"]),
    ("tokenizers", &["inference-candle"]),
    ("minijinja", &["inference-candle"]),
    ("pulldown-cmark", &["markup"]),
    ("clap", &["app"]),
];

/// Crates without I/O, clock or async: libraries that bring those stay out.
const PURE: [&str; 3] = ["domain", "config", "markup"];
const IMPURE: [&str; 6] = ["tokio", "futures", "async-trait", "reqwest", "axum", "sqlx"];

#[test]
fn arrows_point_down_only() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("the workspace has metadata");
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, crates)| crates.iter().map(move |name| (*name, floor)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(name) = package
            .name
            .strip_prefix("tertulia-")
            .filter(|name| *name != "tests")
        else {
            continue;
        };
        let Some(&here) = floor.get(name) else {
            wrong.push(format!("{name} stands on no floor"));
            continue;
        };
        seen.insert(name.to_owned());
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Normal {
                continue;
            }
            let to = dependency.name.as_str();
            if let Some((library, users)) = WRAPPED.iter().find(|(library, _)| *library == to)
                && !users.contains(&name)
            {
                wrong.push(format!("{name} uses {library}, which only {users:?} may"));
            }
            if PURE.contains(&name) && IMPURE.contains(&to) {
                wrong.push(format!("{name} is pure and uses {to}"));
            }
            let Some(to) = to.strip_prefix("tertulia-") else {
                continue;
            };
            match floor.get(to) {
                Some(&there) if there >= here => {
                    wrong.push(format!("{name} (floor {here}) sees {to} (floor {there})"));
                }
                Some(&ADAPTERS) if name != "app" => {
                    wrong.push(format!("{name} names the adapter {to}"));
                }
                Some(_) if to == "config" && name != "app" => {
                    wrong.push(format!("{name} reads config"));
                }
                _ => {}
            }
        }
    }
    let listed: BTreeSet<String> = floor.keys().map(|&name| name.to_owned()).collect();
    assert_eq!(
        seen, listed,
        "the table and the workspace name the same crates"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_names_every_crate() {
    let map = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/README.md"))
        .expect("crates/README.md is there");
    for name in FLOORS.iter().copied().flatten() {
        assert!(
            map.contains(&format!("`{name}`")),
            "crates/README.md says nothing of {name}"
        );
    }
}
