//! Cuts a styled text into parts that a platform accepts, at the best places there are.

use std::ops::Range;

use tertulia_domain::{Span, Style, Styled};
use unicode_segmentation::GraphemeCursor;

use crate::{Dialect, is_blank};

/// Splits a styled text into parts within the limits of a platform, in order.
///
/// A cut prefers the end of a paragraph, then of an item, line, sentence and word, as long as the
/// part is at least half full; a block of code that fits into one part is not cut. Spans that
/// cross a cut go on in the next part, so a block of code is opened again with its language. What
/// is lost at a cut is white space, and only that; a part that would show nothing is left out.
pub fn split(styled: &Styled, dialect: &Dialect) -> Vec<Styled> {
    let mut splitter = Splitter::new(styled, dialect);
    let (mut parts, mut at) = (Vec::new(), 0);
    while let Some(start) = splitter.start(at) {
        let end = splitter.end(start);
        at = end;
        let part = splitter.part(start..end);
        if !part.text.chars().all(is_blank) {
            parts.push(part);
        }
    }
    parts
}

/// How good a place for a cut is, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Between two ideographs, or at a space within code or the label of a link.
    Letter,
    Word,
    Sentence,
    CodeLine,
    /// The end of a line of text, or a blank line of code.
    Line,
    Item,
    Paragraph,
}

struct Splitter<'a> {
    text: &'a str,
    spans: &'a [Span],
    dialect: &'a Dialect,
    /// The first span that begins behind the last part.
    next: usize,
    /// Spans that go on from earlier parts, outermost first.
    carried: Vec<usize>,
    /// Ranges that are better not cut, in order: blocks of code, code, links.
    blocks: Vec<Range<usize>>,
    strings: Vec<Range<usize>>,
}

// === impl Splitter ===

impl<'a> Splitter<'a> {
    fn new(styled: &'a Styled, dialect: &'a Dialect) -> Self {
        let ranges = |wanted: fn(&Style) -> bool| {
            styled
                .spans
                .iter()
                .filter(|span| wanted(&span.style))
                .map(|span| span.range.clone())
                .collect()
        };
        Self {
            text: &styled.text,
            spans: &styled.spans,
            dialect,
            next: 0,
            carried: Vec::new(),
            blocks: ranges(|style| matches!(style, Style::Pre(_))),
            strings: ranges(|style| matches!(style, Style::Code | Style::Link(_))),
        }
    }

    /// Where the next part begins: at something to see, or at its indentation in a block of code.
    fn start(&self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let seen = at + rest.find(|c: char| !c.is_whitespace())?;
        let line = self.text[at..seen]
            .rfind('\n')
            .map_or(at, |end| at + end + 1);
        let indented = within(&self.blocks, seen).is_some_and(|block| block.start <= line)
            && self.dialect.length(&self.text[line..seen]) < self.dialect.max;
        Some(if indented { line } else { seen })
    }

    /// Where the part that begins here ends.
    fn end(&self, start: usize) -> usize {
        let limit = self.limit(start);
        if limit == self.text.len() {
            limit
        } else {
            self.cut(start, limit)
        }
    }

    /// The farthest end that the platform allows.
    fn limit(&self, start: usize) -> usize {
        let mut units = 0;
        let by_length = self.text[start..]
            .char_indices()
            .find_map(|(at, c)| {
                units += self.dialect.unit.of(c);
                // One character always fits, or nothing would ever end.
                (units > self.dialect.max && at > 0).then_some(start + at)
            })
            .unwrap_or(self.text.len());
        let carried = self
            .carried
            .iter()
            .filter(|span| self.spans[**span].range.end > start)
            .count();
        let by_spans = self
            .next
            .checked_add(self.dialect.spans.saturating_sub(carried))
            .and_then(|nth| self.spans.get(nth))
            .map(|span| span.range.start)
            .filter(|bound| *bound > start)
            .unwrap_or(self.text.len());
        by_length.min(by_spans)
    }

    /// The best place for a cut behind `start`, at `limit` or before.
    fn cut(&self, start: usize, limit: usize) -> usize {
        if let Some(block) = within(&self.blocks, limit)
            && (start + 1..limit).contains(&block.start)
            && self.text[start..block.start].contains(|c: char| !is_blank(c))
            && self.fits(&self.text[block.clone()])
        {
            return block.start;
        }
        let half = start + (limit - start) / 2;
        let mut best: Option<(Place, usize)> = None;
        let mut last = None;
        for (place, at) in self.places(start, limit) {
            if at >= half && best.is_none_or(|(known, _)| place >= known) {
                best = Some((place, at));
            }
            if place > Place::Letter {
                last = Some(at);
            }
        }
        best.map(|(_, at)| at)
            .or(last)
            .unwrap_or_else(|| whole_grapheme(self.text, start, limit))
    }

    fn fits(&self, text: &str) -> bool {
        // No character is more than four bytes a unit; the long ones need no counting.
        text.len() <= self.dialect.max.saturating_mul(4)
            && self.dialect.length(text) <= self.dialect.max
    }

    /// All good places in a stretch, in order.
    fn places(&self, start: usize, limit: usize) -> impl Iterator<Item = (Place, usize)> {
        let mut line = start;
        let mut previous = None;
        self.text[start..]
            .char_indices()
            .map(move |(at, c)| (start + at, c))
            .take_while(move |(at, _)| *at <= limit)
            .filter_map(move |(at, c)| {
                let before = previous.replace(c)?;
                let place = self.place(&self.text[line..at], before, c, at);
                if c == '\n' {
                    line = at + 1;
                }
                Some((place?, at))
            })
    }

    /// How good it is to cut at `at`, between two characters of a line.
    fn place(&self, line: &str, before: char, after: char, at: usize) -> Option<Place> {
        if !after.is_whitespace() {
            return between(before, after).filter(|_| !self.in_block(at));
        }
        if before.is_whitespace() && after != '\n' {
            return None;
        }
        let rest = &self.text[at..];
        let blank = rest.starts_with("\n\n");
        if self.in_block(at) {
            return match after {
                '\n' if blank => Some(Place::Line),
                '\n' => Some(Place::CodeLine),
                _ => Some(Place::Letter),
            };
        }
        if is_marker(line) {
            return None;
        }
        if after == '\n' {
            return Some(if blank {
                Place::Paragraph
            } else if starts_item(&rest[1..]) {
                Place::Item
            } else {
                Place::Line
            });
        }
        if within(&self.strings, at).is_some_and(|string| string.start < at) {
            return Some(Place::Letter);
        }
        let ending = line.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』', '）']);
        let sentence = ending.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '।']);
        Some(if sentence {
            Place::Sentence
        } else {
            Place::Word
        })
    }

    fn in_block(&self, at: usize) -> bool {
        within(&self.blocks, at).is_some_and(|block| block.start < at)
    }

    /// Takes a part with what lies over it.
    fn part(&mut self, range: Range<usize>) -> Styled {
        let text = self.text[range.clone()].trim_end();
        let end = range.start + text.len();
        let fresh = self.spans[self.next..]
            .iter()
            .take_while(|span| span.range.start < range.end)
            .count();
        self.carried.extend(self.next..self.next + fresh);
        self.next += fresh;
        let spans = self
            .carried
            .iter()
            .filter_map(|span| {
                let span = &self.spans[*span];
                let clipped = span.range.start.max(range.start)..span.range.end.min(end);
                let shown = self
                    .text
                    .get(clipped.clone())?
                    .contains(|c: char| !c.is_whitespace());
                shown.then(|| Span {
                    range: clipped.start - range.start..clipped.end - range.start,
                    style: span.style.clone(),
                })
            })
            .collect();
        let spans_of_text = self.spans;
        self.carried
            .retain(|span| spans_of_text[*span].range.end > range.end);
        Styled {
            text: text.to_owned(),
            spans,
        }
    }
}

/// The range around a place, of ranges in order that do not overlap.
fn within(ranges: &[Range<usize>], at: usize) -> Option<&Range<usize>> {
    let nth = ranges.partition_point(|range| range.end <= at);
    ranges.get(nth).filter(|range| range.start <= at)
}

/// A place between two characters that no space parts, in writing without spaces.
fn between(before: char, after: char) -> Option<Place> {
    if matches!(before, '。' | '！' | '？' | '；') && after.is_alphanumeric() {
        return Some(Place::Sentence);
    }
    let opening = matches!(
        before,
        '（' | '「' | '『' | '《' | '“' | '‘' | '(' | '[' | '"'
    );
    (is_ideograph(after) && !opening && before != '\u{200d}').then_some(Place::Letter)
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Tells whether a line holds nothing yet but the marker of an item.
fn is_marker(line: &str) -> bool {
    // Indentation and marker are short; a line without end is not searched again and again.
    line.len() < 64
        && line.split_whitespace().count() <= 2
        && line.split_whitespace().all(is_bullet)
        && !line.trim().is_empty()
}

fn starts_item(text: &str) -> bool {
    let line: &str = text.trim_start_matches(' ');
    let mark = line.bytes().take(24).position(|byte| byte == b' ');
    mark.is_some_and(|end| is_bullet(&line[..end]))
}

fn is_bullet(word: &str) -> bool {
    matches!(word, "•" | "☐" | "☑")
        || word
            .strip_suffix('.')
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The last place at or before `limit` that does not part what is seen as one character.
fn whole_grapheme(text: &str, start: usize, limit: usize) -> usize {
    let next = text[limit..].chars().next().map_or(0, char::len_utf8);
    let window = &text[start..limit + next];
    let mut cursor = GraphemeCursor::new(limit - start, window.len(), true);
    if cursor.is_boundary(window, 0) == Ok(true) {
        return limit;
    }
    match cursor.prev_boundary(window, 0) {
        Ok(Some(at)) if at > 0 => start + at,
        _ => limit,
    }
}

#[cfg(test)]
mod tests;
