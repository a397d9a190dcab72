//! Walks the events of Markdown and writes them as styled text, the way people write in chats.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use tertulia_domain::{Style, Styled};

use crate::{address, break_lines, is_break, language, options, table::Table, weaver::Weaver};

/// Deeper lists are not indented further: width is scarce, and the work stays linear.
const DEEPEST: usize = 8;

/// Parses Markdown to one styled text.
///
/// The text has no space around it, blocks stand one blank line apart, and lines end where the
/// author's did. Only `http` and `https` addresses that a chat platform takes become links, others
/// stand in parentheses behind their label. HTML is shown, not interpreted, except `<br>`.
/// An open fence is a block already; what else is open shows its marks, see
/// [`unfinished`](crate::unfinished()).
pub fn parse(markdown: &str) -> Styled {
    let mut walker = Walker::default();
    for event in Parser::new_ext(markdown, options()) {
        walker.event(event);
    }
    walker.out.finish()
}

/// Where the walk is.
#[derive(Default)]
struct Walker<'a> {
    out: Weaver,
    levels: Vec<Level>,
    /// Links and images around here; only the outermost does something.
    anchors: Vec<Anchor>,
    table: Option<Table<'a>>,
    /// The block of code or HTML that is being collected.
    block: Option<String>,
    language: Option<String>,
}

enum Level {
    List {
        /// The number of the next item, where the list is ordered.
        next: Option<u64>,
        /// No item has been begun yet.
        fresh: bool,
    },
    Item {
        width: usize,
        first: bool,
    },
    Quote {
        /// Nothing stands in it yet.
        fresh: bool,
    },
}

struct Anchor {
    /// Where the label began.
    mark: usize,
    /// Written behind the label when it is no link.
    url: String,
    linked: bool,
}

// === impl Walker ===

impl<'a> Walker<'a> {
    fn event(&mut self, event: Event<'a>) {
        let Some(event) = self.tabulate(event) else {
            return;
        };
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) if self.block.is_some() => {
                self.block.get_or_insert_default().push_str(&text);
            }
            Event::InlineHtml(html) if is_break(&html) => self.out.newline(),
            Event::Text(text)
            | Event::Html(text)
            | Event::InlineHtml(text)
            | Event::InlineMath(text)
            | Event::DisplayMath(text)
            | Event::FootnoteReference(text) => self.out.text(&text),
            Event::Code(code) => self.out.code(&code),
            Event::SoftBreak | Event::HardBreak => self.out.newline(),
            Event::Rule => {
                self.stand_alone();
                self.out.text("———");
                self.out.owe(2);
            }
            Event::TaskListMarker(done) => self.task(done),
        }
    }

    /// Keeps what belongs to a table until the table is complete; gives back the rest.
    fn tabulate(&mut self, event: Event<'a>) -> Option<Event<'a>> {
        let Some(table) = self.table.as_mut() else {
            if let Event::Start(Tag::Table(alignments)) = event {
                self.table = Some(Table::new(alignments));
                return None;
            }
            return Some(event);
        };
        match event {
            Event::End(TagEnd::Table) => {
                if let Some(table) = self.table.take() {
                    self.write_table(table);
                }
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => table.row(),
            Event::Start(Tag::TableCell) => table.cell(),
            Event::End(TagEnd::TableHead | TagEnd::TableRow | TagEnd::TableCell) => {}
            event => table.event(event),
        }
        None
    }

    fn start(&mut self, tag: Tag<'a>) {
        match tag {
            Tag::Paragraph => {
                // A paragraph within an item tells that the list is a loose one.
                let owes = match self.levels.last_mut() {
                    Some(Level::Item { first, .. }) => !*first || self.out.marker().is_none(),
                    Some(Level::Quote { fresh }) => !std::mem::take(fresh),
                    _ => true,
                };
                if owes {
                    self.out.owe(2);
                }
            }
            Tag::Heading { .. } => {
                if self.out.marker().is_none() {
                    self.out.owe(2);
                }
                self.out.begin(Style::Bold);
            }
            Tag::BlockQuote(_) => {
                self.stand_alone();
                self.out.begin(Style::Quote);
                self.enter(Level::Quote { fresh: true });
            }
            Tag::CodeBlock(kind) => {
                self.block = Some(String::new());
                self.language = match kind {
                    CodeBlockKind::Fenced(info) => language(&info),
                    CodeBlockKind::Indented => None,
                };
            }
            Tag::HtmlBlock => self.block = Some(String::new()),
            Tag::List(next) => {
                if self.out.marker().is_none() {
                    self.out.owe(self.gap());
                } else {
                    self.out.flush_marker();
                    self.out.owe(1);
                }
                self.enter(Level::List { next, fresh: true });
            }
            Tag::Item => self.item(),
            Tag::Emphasis => self.out.begin(Style::Italic),
            Tag::Strong => self.out.begin(Style::Bold),
            Tag::Strikethrough => self.out.begin(Style::Strike),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.anchor(&dest_url),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => self.out.owe(2),
            TagEnd::Heading(_) => {
                self.out.end();
                self.out.owe(2);
            }
            TagEnd::BlockQuote(_) => {
                self.leave();
                self.out.end();
                self.out.settle(self.gap());
            }
            TagEnd::CodeBlock => {
                let code = self.block.take().unwrap_or_default();
                let language = self.language.take();
                self.write_code(language, &code);
            }
            TagEnd::HtmlBlock => {
                let html = self.block.take().unwrap_or_default();
                if self.out.marker().is_none() {
                    self.out.owe(2);
                }
                for (nth, line) in break_lines(html.trim_end()).into_iter().enumerate() {
                    if nth > 0 {
                        self.out.newline();
                    }
                    self.out.text(line);
                }
                self.out.owe(2);
            }
            TagEnd::List(_) => {
                self.leave();
                self.out.owe(self.gap());
            }
            TagEnd::Item => {
                self.out.flush_marker();
                self.leave();
                self.out.owe(1);
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => self.out.end(),
            TagEnd::Link | TagEnd::Image => self.end_anchor(),
            _ => {}
        }
    }

    fn item(&mut self) {
        let (number, first) = match self.levels.last_mut() {
            Some(Level::List { next, fresh }) => {
                let number = *next;
                *next = number.map(|number| number.saturating_add(1));
                (number, std::mem::take(fresh))
            }
            _ => (None, true),
        };
        let bullet = number.map_or_else(|| "• ".to_owned(), |number| format!("{number}. "));
        let width = bullet.chars().count();
        self.out.owe(1);
        self.out.set_marker(format!("{}{bullet}", self.indent()));
        self.enter(Level::Item { width, first });
    }

    fn task(&mut self, done: bool) {
        let check = if done { "☑ " } else { "☐ " };
        match self.out.marker() {
            Some(marker) => {
                if let Some(stem) = marker.strip_suffix("• ") {
                    *marker = stem.to_owned();
                }
                marker.push_str(check);
            }
            None => self.out.text(check),
        }
    }

    fn anchor(&mut self, url: &str) {
        let public = address::public(url);
        let linked = public.is_some() && self.anchors.is_empty();
        let anchor = Anchor {
            mark: self.out.mark(),
            url: public.unwrap_or_else(|| url.to_owned()),
            linked,
        };
        if linked {
            self.out.begin(Style::Link(anchor.url.clone()));
        }
        self.anchors.push(anchor);
    }

    fn end_anchor(&mut self) {
        let Some(anchor) = self.anchors.pop() else {
            return;
        };
        let label = self.out.since(anchor.mark).trim();
        let bare = label.is_empty();
        let shown = anchor.url.trim_start_matches("mailto:");
        if anchor.linked {
            if bare {
                self.out.text(&anchor.url);
            }
            self.out.end();
        } else if self.anchors.is_empty() && !shown.is_empty() && label != shown {
            let shown = if bare {
                shown.to_owned()
            } else {
                format!(" ({shown})")
            };
            self.out.text(&shown);
        }
    }

    fn write_code(&mut self, language: Option<String>, code: &str) {
        self.stand_alone();
        self.out.pre(language, code);
        self.out.owe(self.gap());
    }

    fn write_table(&mut self, table: Table<'a>) {
        let cells: Vec<Vec<Styled>> = table
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| inline(cell)).collect())
            .collect();
        // Links and lines cannot be had in a block of code.
        let simple = cells.iter().flatten().all(|cell| {
            let link = |style: &Style| matches!(style, Style::Link(_));
            !cell.text.contains('\n') && !cell.spans.iter().any(|span| link(&span.style))
        });
        let texts: Vec<Vec<String>> = cells
            .into_iter()
            .map(|row| row.into_iter().map(|cell| cell.text).collect())
            .collect();
        match table.draw(&texts).filter(|_| simple) {
            Some(drawn) => self.write_code(None, &drawn),
            None => self.write_rows(table, &texts),
        }
        self.out.owe(2);
    }

    /// Writes each row as lines of `head: value` under its first cell.
    fn write_rows(&mut self, table: Table<'a>, texts: &[Vec<String>]) {
        let Some(head) = texts.first() else {
            return;
        };
        if texts.len() == 1 {
            self.out.owe(2);
            self.out.text(&head.join(" | "));
        }
        for (row, texts) in table.rows.into_iter().zip(texts).skip(1) {
            self.out.owe(2);
            for (column, cell) in row.into_iter().enumerate() {
                if texts.get(column).is_none_or(String::is_empty) {
                    continue;
                }
                if column == 0 {
                    self.out.begin(Style::Bold);
                } else if let Some(name) = head.get(column).filter(|name| !name.is_empty()) {
                    self.out.text(name);
                    self.out.text(": ");
                }
                for event in cell {
                    self.event(event);
                }
                if column == 0 {
                    self.out.end();
                }
                self.out.owe(1);
            }
        }
    }

    /// Begins a block that cannot stand behind a marker.
    fn stand_alone(&mut self) {
        if self.out.flush_marker() {
            self.out.owe(1);
        } else {
            self.out.owe(self.gap());
        }
    }

    /// Line ends between blocks here: items of a list are closer than paragraphs.
    fn gap(&self) -> usize {
        if matches!(self.levels.last(), Some(Level::Item { .. })) {
            1
        } else {
            2
        }
    }

    fn enter(&mut self, level: Level) {
        self.levels.push(level);
        self.out.set_indent(self.indent());
    }

    fn leave(&mut self) {
        self.levels.pop();
        self.out.set_indent(self.indent());
    }

    /// The indentation of the items around here, up to the nearest quotation.
    fn indent(&self) -> String {
        // The depth of what a model writes is small, but what a stranger pastes may not be.
        let nearest = &self.levels[self.levels.len().saturating_sub(2 * DEEPEST)..];
        let width: usize = nearest
            .iter()
            .rev()
            .take_while(|level| !matches!(level, Level::Quote { .. }))
            .map(|level| match level {
                Level::Item { width, .. } => *width,
                _ => 0,
            })
            .sum();
        " ".repeat(width)
    }
}

/// Writes the events of a cell alone.
fn inline(events: &[Event<'_>]) -> Styled {
    let mut walker = Walker::default();
    for event in events {
        walker.event(event.clone());
    }
    walker.out.finish()
}

#[cfg(test)]
mod tests;
