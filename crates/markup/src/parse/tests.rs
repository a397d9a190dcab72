//! Markdown and what a person reads of it.

use super::*;

/// Writes spans into the text: `{b bold}`, `{pre:rust …}`, `{a:https://… label}`.
fn shown(styled: &Styled) -> String {
    let mut out = String::new();
    let mut open: Vec<usize> = Vec::new();
    let mut spans = styled.spans.iter().peekable();
    for at in 0..=styled.text.len() {
        while open.last() == Some(&at) {
            open.pop();
            out.push('}');
        }
        while let Some(span) = spans.next_if(|span| span.range.start == at) {
            open.push(span.range.end);
            let look = match &span.style {
                Style::Bold => "b".to_owned(),
                Style::Italic => "i".to_owned(),
                Style::Strike => "s".to_owned(),
                Style::Code => "c".to_owned(),
                Style::Quote => "q".to_owned(),
                Style::Pre(None) => "pre".to_owned(),
                Style::Pre(Some(language)) => format!("pre:{language}"),
                Style::Link(url) => format!("a:{url}"),
                Style::Underline | Style::Spoiler => unreachable!("Markdown has no such look"),
            };
            out.push_str(&format!("{{{look} "));
        }
        if let Some(c) = styled.text.get(at..).and_then(|rest| rest.chars().next()) {
            out.push(c);
        }
    }
    out
}

fn check(examples: &[(&str, &str)]) {
    for (markdown, expected) in examples {
        assert_eq!(shown(&parse(markdown)), *expected, "{markdown:?}");
    }
}

#[test]
fn lines_and_paragraphs() {
    check(&[
        ("", ""),
        (" \n\n \t", ""),
        ("a", "a"),
        ("  a  \nb\\\nc\n\n\n\nd\n", "a\nb\nc\n\nd"),
        ("a<br>b<br/><BR />c", "a\nb\n\nc"),
        ("# One\ntext\n\nTwo\n---", "{b One}\n\ntext\n\n{b Two}"),
        ("## A **b** `c` d", "{b A b} {c c} {b d}"),
        ("a\n\n***\n\nb", "a\n\n———\n\nb"),
        ("&amp; \\* &nbsp;&#10;x", "& * \u{a0}\nx"),
        ("a\u{202e}b\u{2028}c\rd", "ab c\nd"),
    ]);
}

#[test]
fn looks_within_a_line() {
    check(&[
        ("**a** *b* ~~c~~ `d`", "{b a} {i b} {s c} {c d}"),
        ("***a** b*", "{i {b a} b}"),
        ("**a *b***", "{b a {i b}}"),
        ("**a **b** c**", "{b a b c}"),
        ("**use `x` now**", "{b use} {c x} {b now}"),
        ("*`x`*", "{c x}"),
        ("`` a`b ``", "{c a`b}"),
        ("a ` ` b", "a   b"),
        (
            "snake_case_name and 2**3 and *",
            "snake_case_name and 2**3 and *",
        ),
        ("漢**字**漢 👩‍👩‍👧 *é*", "漢{b 字}漢 👩‍👩‍👧 {i é}"),
    ]);
}

#[test]
fn links() {
    check(&[
        ("[a **b**](https://x.y/z)", "{a:https://x.y/z a {b b}}"),
        ("**[a](https://x.y)**", "{b {a:https://x.y a}}"),
        ("[`f`](https://x.y)", "{a:https://x.y f}"),
        ("[](https://x.y)", "{a:https://x.y https://x.y}"),
        ("[a](https://x.y/p%20q 'title')", "{a:https://x.y/p%20q a}"),
        ("[a](</b c>)", "a (/b c)"),
        ("[a](javascript:alert(1))", "a (javascript:alert(1))"),
        ("[a](tg://user?id=1)", "a (tg://user?id=1)"),
        (
            "[dev](http://localhost:8080)",
            "dev (http://localhost:8080)",
        ),
        ("[write](mailto:a@b.c) <a@b.c>", "write (a@b.c) a@b.c"),
        ("<https://x.y>", "{a:https://x.y https://x.y}"),
        ("see https://x.y/z.", "see https://x.y/z."),
        ("[a]()", "a"),
        ("![alt](https://x.y/i.png)", "{a:https://x.y/i.png alt}"),
        ("![](i.png)", "i.png"),
        ("[![b](https://i.j/k)](https://x.y)", "{a:https://x.y b}"),
        ("[a][1]\n\n[1]: https://x.y", "{a:https://x.y a}"),
    ]);
}

#[test]
fn lists() {
    check(&[
        (
            "- a\n- b\n  - c\n    - d\n- e",
            "• a\n• b\n  • c\n    • d\n• e",
        ),
        ("7. a\n8. b\n   - c", "7. a\n8. b\n   • c"),
        ("- a\n\n- b\n\n  c\n- d", "• a\n\n• b\n\n  c\n\n• d"),
        ("- a\n  b", "• a\n  b"),
        ("- [ ] a\n- [x] b", "☐ a\n☑ b"),
        ("1. [x] a", "1. ☑ a"),
        ("text\n\n- a\n\nmore", "text\n\n• a\n\nmore"),
        ("-\n- b", "•\n• b"),
        ("- ```sh\n  ls\n  ```\n- b", "•\n{pre:sh ls}\n• b"),
        ("1. a\n   ```\n   x\n   ```\n   b", "1. a\n{pre x}\n   b"),
        ("- > q\n- b", "•\n{q q}\n• b"),
        ("- # h", "• {b h}"),
        (
            "1. **T**: x\n\n   - y\n\n2. z",
            "1. {b T}: x\n\n   • y\n\n2. z",
        ),
    ]);
}

#[test]
fn code_and_quotes() {
    check(&[
        (
            "```rust,ignore\nfn a() {\n\tb\n}\n```",
            "{pre:rust fn a() {\n    b\n}}",
        ),
        ("```\n\n  a\n\n```\nb", "{pre   a}\n\nb"),
        ("    indented\n     more", "{pre indented\n more}"),
        ("```\n```\na", "a"),
        ("> a\n> **b**\n\nc", "{q a\n{b b}}\n\nc"),
        ("> a\n>\n> > b\n>\n> c", "{q a\n\nb\n\nc}"),
        (
            "> - a\n> - b\n>\n> ```\n> x\n> ```",
            "{q • a\n• b\n\n{pre x}}",
        ),
        ("a\n```py\nx", "a\n\n{pre:py x}"),
        ("a **b", "a **b"),
        ("a [b](https://x", "a [b](https://x"),
    ]);
}

#[test]
fn html_is_text() {
    check(&[
        ("a <b>c</b>", "a <b>c</b>"),
        ("<div>\n*a*<br>b\n</div>\n\nc", "<div>\n*a*\nb\n</div>\n\nc"),
        ("<script>x</script>", "<script>x</script>"),
        ("<!-- a -->b", "<!-- a -->b"),
    ]);
}

#[test]
fn tables() {
    check(&[
        (
            "|Name|Qty|\n|:-|-:|\n|漢字|5|\n|é **b**|12|\nend",
            "{pre Name | Qty\n-----+----\n漢字 |   5\né b  |  12\nend  |}",
        ),
        (
            "| A | B |\n|---|---|\n| x | [l](https://x.y) |\n| `c` | 1<br>2 |",
            "{b x}\nB: {a:https://x.y l}\n\n{c c}\nB: 1\n2",
        ),
    ]);
    let wide = format!("|A|B|C|\n|-|-|-|\n|k|{}||\n|l|m|n|", "long ".repeat(20));
    assert_eq!(
        shown(&parse(&wide)),
        format!(
            "{{b k}}\nB: {}\n\n{{b l}}\nB: m\nC: n",
            "long ".repeat(20).trim()
        )
    );
}
