//! What must hold for every text: the examples of CommonMark, random documents, long ones.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tertulia_domain::{Style, Styled};

use crate::{Dialect, Unit, html, is_blank, parse, parts, split, telegram, unfinished};

const TINY: [Dialect; 3] = [
    Dialect {
        unit: Unit::Utf16,
        max: 40,
        spans: 3,
    },
    Dialect {
        unit: Unit::Chars,
        max: 7,
        spans: 100,
    },
    Dialect {
        unit: Unit::Utf16,
        max: 2,
        spans: 1,
    },
];

#[test]
fn the_examples_of_commonmark_hold() {
    let examples: Vec<String> =
        serde_json::from_str(include_str!("../testdata/commonmark.json")).expect("JSON");
    assert_eq!(examples.len(), 652);
    for example in &examples {
        check(example);
    }
    check(&examples.join("\n\n"));
}

/// Every prefix of a reply is shown while it streams.
#[test]
fn every_prefix_of_a_reply_holds() {
    let reply = "# Héllo 👩‍👩‍👧\n\nHere:\n- **a** `b` [c](https://x.y/z)\n  1. d\n\n> q *r*\n\n\
                 | A | 漢 |\n|---|:-:|\n| 1 | 2 |\n\n```rust\nfn x() {}\n```\n<br>~~e~~\n";
    for (at, _) in reply.char_indices() {
        check(&reply[..at]);
        check(&unfinished(&reply[..at]));
    }
}

#[test]
fn the_work_grows_linearly() {
    let documents: Vec<String> = [
        "A **bold** `word` and a [link](https://x.y/z) 👩‍👩‍👧.\n\n",
        "| a | b |\n|---|---|\n| c | d |\n\n",
        "```\ncode here\n```\n",
        "- x\n",
        "> - > - a\n",
        "**a `b` ",
        "x",
        "`c`",
        "漢",
        "e\u{301}\u{302}",
        "\u{200d}",
        " \\\n",
        "<<br><",
        "[a](",
        "![",
        "*_",
        "# ",
        "    \t",
        "1. ",
    ]
    .iter()
    .map(|piece| piece.repeat(100_000 / piece.len()))
    .collect();
    for document in &documents {
        let begun = Instant::now();
        let whole = parse(document);
        let lengths: usize = TINY
            .iter()
            .map(|dialect| split(&whole, dialect).len())
            .sum();
        let written = html(document).len() + unfinished(document).len();
        let took = begun.elapsed();
        // Linear work takes tens of milliseconds at most; quadratic work takes many seconds.
        assert!(
            took < Duration::from_secs(2),
            "{:?}: {took:?} for {lengths} parts, {written} bytes",
            document.chars().take(8).collect::<String>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_documents_hold(pieces in prop::collection::vec(piece(), 0..40)) {
        let document = pieces.concat();
        check(&document);
        check(&unfinished(&document));
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "*", "**", "_", "~~", "`", "``", "```\n", "\n```rust\n", "~~~", "\n", "\n\n", " ", "    ",
            "\t", "- ", "\n- ", "\n  - ", "\n1. ", "\n> ", "\n>> ", "# ", "\n---\n", "[", "](", ")",
            "](https://x.y/z)", "![", "<b>", "<br>", "<a@b.c>", "<https://x.y>", "|", "\n|-|:-:|\n",
            "\n|a|b|\n|-|-|\n|c|d|\n", "- [x] ", "\\", "&nbsp;", "&#10;", "<!--", "-->", "\r\n", "\0",
            "[1]", "\n[1]: https://x.y\n", "javascript:", "](http://localhost)", "\"", "'",
        ]).prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "👩‍👩‍👧", "🇩🇪🇫🇷", "漢字。仮名", "مرحبا", "שלום", "\u{200d}", "\u{200b}", "\u{202e}", "\u{2028}",
            "e\u{301}", "\u{fe0f}", "\u{a0}", "\u{3000}", "한국어", "क्षि", "\u{feff}", "1.", "•",
        ]).prop_map(str::to_owned),
        3 => "[a-z]{1,12}[ .,!?]{0,2}",
        1 => any::<String>(),
    ]
}

fn check(markdown: &str) {
    let whole = parse(markdown);
    check_styled(&whole);
    assert_eq!(whole.text.trim_end(), whole.text);
    for dialect in TINY.iter().chain([&Dialect::TELEGRAM, &Dialect::DISCORD]) {
        let parts = parts(markdown, dialect);
        check_parts(&whole, &parts, dialect);
    }
    check_html(&html(markdown));
}

fn check_styled(styled: &Styled) {
    let text = &styled.text;
    let mut around: Vec<&tertulia_domain::Span> = Vec::new();
    let mut last = (0, usize::MAX);
    for span in &styled.spans {
        let range = &span.range;
        let shown = text.get(range.clone()).expect("on boundaries");
        assert!(!shown.trim().is_empty(), "{span:?} shows nothing");
        let key = (range.start, usize::MAX - range.end);
        assert!(last.0 < key.0 || last.0 == key.0 && last.1 <= key.1 || last == (0, usize::MAX));
        last = key;
        while around
            .last()
            .is_some_and(|outer| outer.range.end <= range.start)
        {
            around.pop();
        }
        if let Some(outer) = around.last() {
            assert!(range.end <= outer.range.end, "{outer:?} cuts {span:?}");
        }
        for outer in &around {
            let kind = std::mem::discriminant::<Style>;
            assert_ne!(kind(&outer.style), kind(&span.style), "within itself");
            assert!(
                !matches!(outer.style, Style::Code | Style::Pre(_)),
                "in code: {styled:?}"
            );
            if matches!(span.style, Style::Code | Style::Pre(_)) {
                assert_eq!(outer.style, Style::Quote, "around code");
            }
        }
        around.push(span);
    }
    let units: Vec<u16> = text.encode_utf16().collect();
    let entities = telegram::entities(styled);
    assert_eq!(entities.len(), styled.spans.len());
    for (entity, span) in entities.iter().zip(&styled.spans) {
        let cut = &units[entity.offset..entity.offset + entity.length];
        let read = String::from_utf16(cut).expect("no surrogate is torn");
        assert_eq!(read, text[span.range.clone()]);
    }
}

fn check_parts(whole: &Styled, parts: &[Styled], dialect: &Dialect) {
    let mut at = 0;
    for part in parts {
        check_styled(part);
        assert!(
            dialect.length(&part.text) <= dialect.max,
            "too long: {part:?}"
        );
        assert!(!part.text.chars().all(is_blank), "nothing to see");
        assert_eq!(part.text.trim_end(), part.text);
        if dialect.spans > 10 {
            assert!(part.spans.len() <= dialect.spans);
        }
        let found = whole.text[at..].find(&part.text).expect("of the text") + at;
        assert!(whole.text[at..found].chars().all(is_blank), "text is lost");
        // A part looks as its place in the whole does.
        for span in &part.spans {
            let place = span.range.start + found..span.range.end + found;
            assert!(whole.spans.iter().any(|outer| outer.style == span.style
                && outer.range.start <= place.start
                && place.end <= outer.range.end));
        }
        at = found + part.text.len();
    }
    assert!(whole.text[at..].chars().all(is_blank), "the end is lost");
}

/// Reads HTML the strict way: known tags with known attributes, well nested, all else escaped.
fn check_html(html: &str) {
    const LINK: &str = "\" rel=\"noopener noreferrer nofollow\" target=\"_blank\"";
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find(['<', '>', '"', '\'', '&']) {
        rest = &rest[at..];
        if let Some(entity) = rest.strip_prefix('&') {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|known| entity.starts_with(known)));
            rest = entity;
            continue;
        }
        assert!(rest.starts_with('<'), "not escaped: {rest}");
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        match name {
            "br" | "hr" => {}
            "p" | "strong" | "em" | "del" | "code" | "pre" | "a" | "ul" | "ol" | "li"
            | "blockquote" | "h3" | "h4" | "h5" | "h6" | "table" | "thead" | "tbody" | "tr"
            | "th" | "td" => open.push(name),
            _ => panic!("unknown tag {tag}"),
        }
        let value = |attribute: &str, tail: &str| {
            attributes
                .strip_prefix(attribute)
                .and_then(|rest| rest.strip_suffix(tail))
                .filter(|value| !value.contains(['"', '<', '\'']))
        };
        match name {
            "a" => {
                let url = value("href=\"", LINK)
                    .expect("an address")
                    .to_ascii_lowercase();
                let known = ["http://", "https://", "mailto:"];
                assert!(known.iter().any(|scheme| url.starts_with(scheme)), "{url}");
            }
            "code" if !attributes.is_empty() => {
                let language = value("class=\"language-", "\"").expect("a language");
                assert!(
                    language
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"_+#.-".contains(&b))
                );
            }
            "ol" if !attributes.is_empty() => {
                let start = value("start=\"", "\"").expect("a number");
                assert!(start.bytes().all(|b| b.is_ascii_digit()));
            }
            _ => assert_eq!(attributes, "", "{tag}"),
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
}
