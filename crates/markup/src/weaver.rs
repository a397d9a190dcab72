//! Writes text and lays styles over it so that they nest as platforms want.
//!
//! Invariant: what it gives keeps the invariant of `Styled`, and besides: code carries no other
//! look inside or around it but a quotation, no look stands within itself, a span begins and ends
//! with something to see (a code block may begin with its indentation), the text too.

use std::{cmp::Reverse, ops::Range};

use tertulia_domain::{Span, Style, Styled};

use crate::is_blank;

/// A text that is being written.
#[derive(Debug, Default)]
pub(crate) struct Weaver {
    text: String,
    /// Finished spans with their order of opening, which decides between equal ranges.
    spans: Vec<(usize, Span)>,
    /// Looks that hold here, outermost first; never two of a kind.
    open: Vec<Open>,
    /// For every `begin` without its `end`: whether it opened a look, or one like it held already.
    begun: Vec<bool>,
    order: usize,
    /// Line ends owed before the next text.
    owed: usize,
    /// Stands before each line.
    indent: String,
    /// Stands before the next line instead, once.
    marker: Option<String>,
}

#[derive(Debug)]
struct Open {
    style: Style,
    start: usize,
    order: usize,
}

// === impl Weaver ===

impl Weaver {
    /// Begins a look, until the `end` that belongs to it.
    pub(crate) fn begin(&mut self, style: Style) {
        let fresh = !self.holds(&style);
        self.begun.push(fresh);
        if fresh {
            self.mark();
            self.order += 1;
            self.open.push(Open {
                style,
                start: self.text.len(),
                order: self.order,
            });
        }
    }

    /// Ends the look that was begun last.
    pub(crate) fn end(&mut self) {
        if self.begun.pop() == Some(true)
            && let Some(open) = self.open.pop()
        {
            self.close(&open);
        }
    }

    /// Owes at least this many line ends before whatever comes next.
    pub(crate) fn owe(&mut self, lines: usize) {
        self.owed = self.owed.max(lines);
    }

    /// Owes exactly this many line ends before whatever comes next.
    pub(crate) fn settle(&mut self, lines: usize) {
        self.owed = lines;
    }

    /// Sets what stands before each line from the next one on.
    pub(crate) fn set_indent(&mut self, indent: String) {
        self.indent = indent;
    }

    /// Lets the next line begin with a marker in place of the indentation.
    pub(crate) fn set_marker(&mut self, marker: String) {
        self.marker = Some(marker);
    }

    /// The marker that still waits for its line.
    pub(crate) fn marker(&mut self) -> Option<&mut String> {
        self.marker.as_mut()
    }

    /// Writes a marker that still waits on a line of its own; tells whether there was one.
    pub(crate) fn flush_marker(&mut self) -> bool {
        let Some(marker) = self.marker.as_mut() else {
            return false;
        };
        marker.truncate(marker.trim_end().len());
        self.arrive();
        true
    }

    /// Ends the line at once.
    pub(crate) fn newline(&mut self) {
        self.arrive();
        self.text.push('\n');
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' => self.newline(),
                _ => {
                    if let Some(c) = clean(c) {
                        self.arrive();
                        self.text.push(c);
                    }
                }
            }
        }
    }

    /// Writes code within a line. The label of a link cannot carry it and shows it as text.
    pub(crate) fn code(&mut self, code: &str) {
        let code: String = code.chars().filter_map(clean).collect();
        if code.chars().all(is_blank) || self.holds(&Style::Link(String::new())) {
            self.text(&code);
        } else {
            self.literal(Style::Code, &code);
        }
    }

    /// Writes a block of code on lines of its own.
    pub(crate) fn pre(&mut self, language: Option<String>, code: &str) {
        let code = untabbed(code);
        let code = code.trim_end();
        let Some(first) = code.find(|c: char| !c.is_whitespace()) else {
            return;
        };
        let code = &code[code[..first].rfind('\n').map_or(0, |end| end + 1)..];
        if code.chars().all(is_blank) {
            return;
        }
        let indent = std::mem::take(&mut self.indent);
        self.literal(Style::Pre(language), code);
        self.indent = indent;
    }

    /// What was written since a mark taken by [`Weaver::mark`].
    pub(crate) fn since(&self, mark: usize) -> &str {
        &self.text[mark..]
    }

    /// A mark at this place of the text, behind the marker of an item that waits for its line.
    pub(crate) fn mark(&mut self) -> usize {
        if self.marker.is_some() {
            self.arrive();
        }
        self.text.len()
    }

    /// Ends everything and gives the text without space around it.
    pub(crate) fn finish(mut self) -> Styled {
        while !self.begun.is_empty() {
            self.end();
        }
        let solid = |style: &Style| matches!(style, Style::Pre(_) | Style::Code);
        let first = self
            .spans
            .iter()
            .filter(|(_, span)| solid(&span.style))
            .map(|(_, span)| span.range.start)
            .min()
            .unwrap_or(usize::MAX);
        let end = self.text.trim_end().len();
        let start = (self.text.len() - self.text.trim_start().len())
            .min(first)
            .min(end);
        self.spans
            .sort_by_key(|(order, span)| (span.range.start, Reverse(span.range.end), *order));
        let spans = self
            .spans
            .into_iter()
            .map(|(_, span)| Span {
                range: span.range.start - start..span.range.end.min(end) - start,
                style: span.style,
            })
            .filter(|span| !span.range.is_empty())
            .collect();
        self.text.truncate(end);
        self.text.drain(..start);
        Styled {
            text: self.text,
            spans,
        }
    }

    fn holds(&self, style: &Style) -> bool {
        let kind = std::mem::discriminant(style);
        self.open
            .iter()
            .any(|open| std::mem::discriminant(&open.style) == kind)
    }

    /// Writes what is owed before text: line ends, indentation, marker.
    fn arrive(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if !self.text.is_empty() {
            let ends = self.text.bytes().rev().take(owed);
            let there = ends.take_while(|byte| *byte == b'\n').count();
            for _ in there..owed {
                self.text.push('\n');
            }
        }
        if self.text.is_empty() || self.text.ends_with('\n') {
            match self.marker.take() {
                Some(marker) => self.text.push_str(&marker),
                None => self.text.push_str(&self.indent),
            }
        }
    }

    /// Writes text that only a quotation may surround: the other looks pause.
    fn literal(&mut self, style: Style, text: &str) {
        self.arrive();
        let mut open = std::mem::take(&mut self.open);
        for look in open.iter().filter(|look| look.style != Style::Quote) {
            self.close(look);
        }
        let start = self.text.len();
        self.text.push_str(text);
        self.order += 1;
        self.push(self.order, start..self.text.len(), style);
        for look in open.iter_mut().filter(|look| look.style != Style::Quote) {
            look.start = self.text.len();
        }
        self.open = open;
    }

    fn close(&mut self, open: &Open) {
        let mut range = trimmed(&self.text, open.start..self.text.len());
        // Code may begin or end with space; a quotation, which alone stands around it, holds it.
        for (_, span) in self.spans.iter().rev() {
            if open.style != Style::Quote || span.range.start < open.start {
                break;
            }
            range.start = range.start.min(span.range.start);
            range.end = range.end.max(span.range.end);
        }
        self.push(open.order, range, open.style.clone());
    }

    fn push(&mut self, order: usize, range: Range<usize>, style: Style) {
        if !range.is_empty() {
            self.spans.push((order, Span { range, style }));
        }
    }
}

/// Cuts white space off both ends of a range.
pub(crate) fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let within = &text[range.clone()];
    let end = range.start + within.trim_end().len();
    let start = (range.end - within.trim_start().len()).min(end);
    start..end
}

/// What a platform would change anyway, changed before anything is counted.
///
/// Controls are refused or become spaces; the marks that turn the direction of what follows can
/// disguise it and are dropped by Telegram, and so are three combining marks that reach other lines.
fn clean(c: char) -> Option<char> {
    match c {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{202a}'..='\u{202e}' | '\u{30a}' | '\u{333}' | '\u{33f}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

/// Cleans a block of code; tabs go to the next multiple of four, as chats show them as one space.
fn untabbed(code: &str) -> String {
    let (mut out, mut column) = (String::with_capacity(code.len()), 0);
    for c in code.chars() {
        match c {
            '\n' => {
                out.push('\n');
                column = 0;
            }
            '\t' => {
                let width = 4 - column % 4;
                out.push_str(&"    "[..width]);
                column += width;
            }
            c => {
                if let Some(c) = clean(c) {
                    out.push(c);
                    column += 1;
                }
            }
        }
    }
    out
}
