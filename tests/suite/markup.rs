//! Telegram's own library accepts what we make of Markdown, as it is.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tertulia_markup::telegram::{EntityKind, entities};
use tertulia_markup::{Dialect, parts};

const EXAMPLES: &str = include_str!("../../crates/markup/testdata/commonmark.json");
const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn entity(kind: EntityKind) -> Value {
    let plain = |name: &str| json!({"type": name});
    match kind {
        EntityKind::Bold => plain("bold"),
        EntityKind::Italic => plain("italic"),
        EntityKind::Underline => plain("underline"),
        EntityKind::Strike => plain("strikethrough"),
        EntityKind::Spoiler => plain("spoiler"),
        EntityKind::Code => plain("code"),
        EntityKind::Pre { language: None } => plain("pre"),
        EntityKind::Pre {
            language: Some(language),
        } => json!({"type": "pre", "language": language}),
        EntityKind::Link { url } => json!({"type": "text_link", "url": url}),
        EntityKind::Quote => plain("blockquote"),
    }
}

/// The messages that a text becomes, one a line.
fn lines(markdown: &str) -> Vec<String> {
    let written = parts(markdown, &Dialect::TELEGRAM).into_iter().map(|part| {
        let entities: Vec<Value> = entities(&part)
            .into_iter()
            .map(|one| {
                let mut json = entity(one.kind);
                json["offset"] = json!(one.offset);
                json["length"] = json!(one.length);
                json
            })
            .collect();
        json!({"text": part.text, "entities": entities}).to_string()
    });
    written.collect()
}

#[test]
fn telegram_accepts_what_the_examples_of_commonmark_become() {
    let judge = std::env::var("TERTULIA_JUDGE").expect(
        "TERTULIA_JUDGE names a python with the package tdjson; `bash tests/run` brings one up",
    );
    let examples: Vec<String> = serde_json::from_str(EXAMPLES).expect("a list of texts");
    assert!(examples.len() > 600);
    let mut input: Vec<String> = examples
        .iter()
        .flat_map(|markdown| lines(markdown))
        .collect();
    // All of them in one text, so that parts are cut at every kind of place.
    input.extend(lines(&examples.join("\n\n")));
    let mut child = Command::new(&judge)
        .arg(format!("{HERE}/judge_markup.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("TERTULIA_JUDGE={judge}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let text = input.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the judge ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    writer
        .join()
        .expect("no panic")
        .expect("the judge reads everything");
    let judged = String::from_utf8_lossy(&output.stdout);
    assert_eq!(judged.trim(), input.len().to_string(), "{said}");
}
