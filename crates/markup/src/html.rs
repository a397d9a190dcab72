//! Markdown as HTML that is safe to put into our page.
//!
//! Invariant: the tags and attributes are those written out in this file; everything that comes
//! from the input is escaped. Addresses of links pass [`address::linkable`], the language of a
//! fence passes [`language`].

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Parser, Tag, TagEnd};

use crate::{address, break_lines, is_break, language, options};

/// Renders Markdown as a safe fragment of HTML.
///
/// Headings begin at `h3`, since the page has its own; images become links; HTML in the input is
/// shown as it stands, except `<br>`; lines end where the author's did.
pub fn html(markdown: &str) -> String {
    let mut writer = Writer::default();
    for event in Parser::new_ext(markdown, options()) {
        writer.event(event);
    }
    writer.out
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Links and images around here; only the outermost is one.
    anchors: Vec<Anchor>,
    in_head: bool,
}

struct Anchor {
    /// Where the label began in the output.
    mark: usize,
    url: String,
    linked: bool,
}

// === impl Writer ===

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::InlineHtml(html) if is_break(&html) => self.out.push_str("<br>"),
            Event::Html(html) => {
                for (nth, line) in break_lines(&html).into_iter().enumerate() {
                    if nth > 0 {
                        self.out.push_str("<br>");
                    }
                    self.text(line);
                }
            }
            Event::Text(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.text(&text),
            Event::Code(code) => {
                self.out.push_str("<code>");
                self.text(&code);
                self.out.push_str("</code>");
            }
            Event::SoftBreak | Event::HardBreak => self.out.push_str("<br>"),
            Event::Rule => self.out.push_str("<hr>"),
            Event::TaskListMarker(done) => self.text(if done { "☑ " } else { "☐ " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.out.push_str("<p>"),
            Tag::Heading { level, .. } => {
                self.out.push('<');
                self.out.push_str(heading(level));
                self.out.push('>');
            }
            Tag::BlockQuote(_) => self.out.push_str("<blockquote>"),
            Tag::CodeBlock(kind) => self.code_block(&kind),
            Tag::List(None) => self.out.push_str("<ul>"),
            Tag::List(Some(1)) => self.out.push_str("<ol>"),
            Tag::List(Some(start)) => {
                self.out.push_str("<ol start=\"");
                self.out.push_str(&start.to_string());
                self.out.push_str("\">");
            }
            Tag::Item => self.out.push_str("<li>"),
            Tag::Table(_) => self.out.push_str("<table>"),
            Tag::TableHead => {
                self.in_head = true;
                self.out.push_str("<thead><tr>");
            }
            Tag::TableRow => self.out.push_str("<tr>"),
            Tag::TableCell => self
                .out
                .push_str(if self.in_head { "<th>" } else { "<td>" }),
            Tag::Emphasis => self.out.push_str("<em>"),
            Tag::Strong => self.out.push_str("<strong>"),
            Tag::Strikethrough => self.out.push_str("<del>"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.anchor(&dest_url),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.out.push_str("</p>"),
            TagEnd::Heading(level) => {
                self.out.push_str("</");
                self.out.push_str(heading(level));
                self.out.push('>');
            }
            TagEnd::BlockQuote(_) => self.out.push_str("</blockquote>"),
            TagEnd::CodeBlock => self.out.push_str("</code></pre>"),
            TagEnd::List(false) => self.out.push_str("</ul>"),
            TagEnd::List(true) => self.out.push_str("</ol>"),
            TagEnd::Item => self.out.push_str("</li>"),
            TagEnd::Table => self.out.push_str("</tbody></table>"),
            TagEnd::TableHead => {
                self.in_head = false;
                self.out.push_str("</tr></thead><tbody>");
            }
            TagEnd::TableRow => self.out.push_str("</tr>"),
            TagEnd::TableCell => self
                .out
                .push_str(if self.in_head { "</th>" } else { "</td>" }),
            TagEnd::Emphasis => self.out.push_str("</em>"),
            TagEnd::Strong => self.out.push_str("</strong>"),
            TagEnd::Strikethrough => self.out.push_str("</del>"),
            TagEnd::Link | TagEnd::Image => self.end_anchor(),
            _ => {}
        }
    }

    fn code_block(&mut self, kind: &CodeBlockKind<'_>) {
        let language = match kind {
            CodeBlockKind::Fenced(info) => language(info),
            CodeBlockKind::Indented => None,
        };
        match language {
            Some(language) => {
                self.out.push_str("<pre><code class=\"language-");
                self.text(&language);
                self.out.push_str("\">");
            }
            None => self.out.push_str("<pre><code>"),
        }
    }

    fn anchor(&mut self, url: &CowStr<'_>) {
        let linkable = address::linkable(url);
        let linked = linkable.is_some() && self.anchors.is_empty();
        let url = linkable.unwrap_or_else(|| url.to_string());
        if linked {
            self.out.push_str("<a href=\"");
            self.text(&url);
            self.out
                .push_str("\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">");
        }
        let mark = self.out.len();
        self.anchors.push(Anchor { mark, url, linked });
    }

    fn end_anchor(&mut self) {
        let Some(anchor) = self.anchors.pop() else {
            return;
        };
        let bare = self.out[anchor.mark..].trim().is_empty();
        if anchor.linked {
            if bare {
                self.text(&anchor.url);
            }
            self.out.push_str("</a>");
        } else if self.anchors.is_empty() && !anchor.url.is_empty() {
            if bare {
                self.text(&anchor.url);
            } else {
                self.text(&format!(" ({})", anchor.url));
            }
        }
    }

    /// Writes text or the value of an attribute.
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                // Marks that turn the direction of text could disguise an address.
                '\u{202a}'..='\u{202e}' => {}
                c if c.is_control() && c != '\n' && c != '\t' => {}
                c => self.out.push(c),
            }
        }
    }
}

fn heading(level: HeadingLevel) -> &'static str {
    match level {
        HeadingLevel::H1 => "h3",
        HeadingLevel::H2 => "h4",
        HeadingLevel::H3 => "h5",
        _ => "h6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_spans() {
        for (markdown, expected) in [
            ("# A *b*\n\nc\nd", "<h3>A <em>b</em></h3><p>c<br>d</p>"),
            (
                "**a** ~~b~~ `<c>`",
                "<p><strong>a</strong> <del>b</del> <code>&lt;c&gt;</code></p>",
            ),
            ("- a\n- [x] b", "<ul><li>a</li><li>☑ b</li></ul>"),
            ("3. a\n4. b", "<ol start=\"3\"><li>a</li><li>b</li></ol>"),
            ("> q\n\n---", "<blockquote><p>q</p></blockquote><hr>"),
            (
                "```c++ x\"y\na<b\n```",
                "<pre><code class=\"language-c++\">a&lt;b\n</code></pre>",
            ),
            ("```\"onload=x\na\n```", "<pre><code>a\n</code></pre>"),
            (
                "|a|b|\n|-|-|\n|1|2|",
                "<table><thead><tr><th>a</th><th>b</th></tr></thead>\
                 <tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
            ),
            (
                "```py\nopen",
                "<pre><code class=\"language-py\">open\n</code></pre>",
            ),
        ] {
            let got = html(markdown);
            assert_eq!(
                got.replace("open\n<", "open<"),
                expected.replace("open\n<", "open<")
            );
        }
    }

    #[test]
    fn nothing_of_the_input_becomes_markup() {
        for (markdown, expected) in [
            (
                "<script>alert(1)</script>",
                "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
            ),
            ("a<br/>b <BR>c", "<p>a<br>b <br>c</p>"),
            (
                "<img src=x onerror=y> z",
                "<p>&lt;img src=x onerror=y&gt; z</p>",
            ),
            ("[a](javascript:x)", "<p>a (javascript:x)</p>"),
            (
                "[a](https://x.y/\"onclick=z)",
                "<p><a href=\"https://x.y/&quot;onclick=z\" \
                 rel=\"noopener noreferrer nofollow\" target=\"_blank\">a</a></p>",
            ),
            (
                "![pic](http://localhost/p.png)",
                "<p><a href=\"http://localhost/p.png\" \
                 rel=\"noopener noreferrer nofollow\" target=\"_blank\">pic</a></p>",
            ),
            (
                "[![b](https://i.j/k)](https://x.y)",
                "<p><a href=\"https://x.y\" \
                 rel=\"noopener noreferrer nofollow\" target=\"_blank\">b</a></p>",
            ),
        ] {
            assert_eq!(html(markdown), expected);
        }
    }
}
