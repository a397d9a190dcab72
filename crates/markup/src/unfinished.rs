//! The end of a reply that is still streaming, made to look like what it will become.
//!
//! A reader should not see `**Imp` turn into bold, a line of text into a heading because the next
//! bullet has only its dash, or an address grow letter by letter. This is a guess for the eye:
//! the final text is parsed as it stands, never as guessed here.

use std::borrow::Cow;

/// Closes or hides what is open at the end of Markdown that will go on.
pub fn unfinished(markdown: &str) -> Cow<'_, str> {
    if let Some(fence) = open_fence(markdown) {
        let (body, last) = last_line(markdown);
        let closing = !last.trim().is_empty() && last.trim().chars().all(|c| c == fence);
        return Cow::Borrowed(if closing && !body.is_empty() {
            body
        } else {
            markdown
        });
    }
    let (body, last) = last_line(markdown);
    let markdown = if is_only_markup(last) { body } else { markdown };
    let paragraph = markdown.rfind("\n\n").map_or(0, |end| end + 2);
    let (before, paragraph) = markdown.split_at(paragraph);
    let mut tail = Tail::default();
    tail.walk(hide_tag(paragraph));
    tail.close();
    if tail.changed || tail.out.len() != paragraph.len() {
        Cow::Owned(format!("{before}{}", tail.out))
    } else {
        Cow::Borrowed(markdown)
    }
}

/// The last paragraph as it is written anew.
#[derive(Default)]
struct Tail {
    out: String,
    /// Emphasis that waits for its end: the mark and how many.
    open: Vec<(char, usize)>,
    changed: bool,
}

// === impl Tail ===

impl Tail {
    fn walk(&mut self, text: &str) {
        let mut before: Option<char> = None;
        let mut at = 0;
        // Once no bracket ends here, none does later.
        let mut brackets = true;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let run = rest.len() - rest.trim_start_matches(c).len();
            let count = run / c.len_utf8();
            let after = rest[run..].chars().next();
            match c {
                '\\' => {
                    let escaped = rest.chars().take(2).map(char::len_utf8).sum();
                    self.out.push_str(&rest[..escaped]);
                    at += escaped;
                    before = Some('\\');
                    continue;
                }
                '\n' => {
                    if count > 1 || starts_block(rest[run..].trim_start()) {
                        self.open.clear();
                    }
                    self.out.push_str(&rest[..run]);
                }
                '`' => match closing_run(&rest[run..], count) {
                    Some(end) => {
                        self.out.push_str(&rest[..run + end]);
                        at += end;
                    }
                    None => {
                        let code = rest[run..].trim_end_matches('`').trim_end();
                        if !code.is_empty() {
                            self.out.push_str(&rest[..run]);
                            self.out.push_str(code);
                            self.out.push_str(&rest[..run]);
                        }
                        self.changed = true;
                        return;
                    }
                },
                '*' | '_' | '~' => self.emphasis(c, count, before, after),
                '[' if brackets && count == 1 => match open_link(&rest[1..]) {
                    Link::Closed => self.out.push('['),
                    Link::None => {
                        brackets = false;
                        self.out.push('[');
                    }
                    Link::Open(label) => {
                        if before == Some('!') {
                            self.out.pop();
                        }
                        self.changed = true;
                        self.walk(label);
                        return;
                    }
                },
                _ => self.out.push_str(&rest[..run]),
            }
            at += run;
            before = Some(c);
        }
    }

    fn emphasis(&mut self, c: char, count: usize, before: Option<char>, after: Option<char>) {
        let run: String = std::iter::repeat_n(c, count).collect();
        if count > 3 || (c == '~' && count != 2 && after.is_some()) {
            self.out.push_str(&run);
            return;
        }
        let Some(after) = after else {
            // Half of an end, or a beginning with nothing in it yet: `close` ends what is open.
            self.changed = true;
            return;
        };
        self.out.push_str(&run);
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let mut left = count;
        if before.is_some_and(|c| !c.is_whitespace()) && !(c == '_' && word(Some(after))) {
            left = self.ended(c, count);
        }
        let opens = !after.is_whitespace() && !(word(before) && (c == '_' || left < 2));
        if left > 0 && opens && self.open.len() < 8 {
            self.open.push((c, left));
        }
    }

    /// Ends what these marks end; gives back how many are left to begin something.
    fn ended(&mut self, c: char, mut count: usize) -> usize {
        while let Some((_, open)) = self.open.last_mut().filter(|(mark, _)| *mark == c) {
            if *open > count {
                *open -= count;
                return 0;
            }
            count -= *open;
            self.open.pop();
        }
        count
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.changed = true;
            self.out.truncate(self.out.trim_end().len());
        }
        while let Some((mark, count)) = self.open.pop() {
            self.out.extend(std::iter::repeat_n(mark, count));
        }
    }
}

enum Link<'a> {
    /// No bracket ends here or later, and there is nothing to hide.
    None,
    /// A whole link, or brackets that are none.
    Closed,
    /// A link that is being written, with its label so far.
    Open(&'a str),
}

fn open_link(text: &str) -> Link<'_> {
    let Some(end) = text.find([']', '\n']) else {
        return if text.contains('[') {
            Link::None
        } else {
            Link::Open(text)
        };
    };
    match text[end..].strip_prefix("](") {
        Some(url) if !url.contains([')', ' ', '\n']) => Link::Open(&text[..end]),
        _ => Link::Closed,
    }
}

/// The mark of the fence that is open at the end.
fn open_fence(markdown: &str) -> Option<char> {
    let mut open: Option<(char, usize)> = None;
    for line in markdown.lines() {
        let line = line.trim_start_matches([' ', '>', '\t']);
        let Some(mark) = line.chars().next().filter(|c| matches!(c, '`' | '~')) else {
            continue;
        };
        let info = line.trim_start_matches(mark);
        let count = line.len() - info.len();
        match open {
            None if count >= 3 && !(mark == '`' && info.contains('`')) => {
                open = Some((mark, count));
            }
            Some(fence) if mark == fence.0 && count >= fence.1 && info.trim().is_empty() => {
                open = None;
            }
            _ => {}
        }
    }
    open.map(|(mark, _)| mark)
}

/// Tells whether a line begins another item or block, where emphasis cannot go on.
fn starts_block(line: &str) -> bool {
    let number = line.bytes().take_while(u8::is_ascii_digit).count();
    line.starts_with(['#', '>', '|'])
        || ["- ", "* ", "+ "]
            .iter()
            .any(|bullet| line.starts_with(bullet))
        || number > 0 && line[number..].starts_with(['.', ')'])
}

fn last_line(markdown: &str) -> (&str, &str) {
    markdown.rsplit_once('\n').unwrap_or(("", markdown))
}

/// Tells whether a line says nothing yet: a dash may become a bullet, a rule, or underline a
/// heading.
fn is_only_markup(line: &str) -> bool {
    let line = line.trim();
    let number = line.strip_suffix('.').unwrap_or("");
    !line.is_empty()
        && (line.chars().all(|c| "-+*#>=|~`_:[ ".contains(c))
            || matches!(line, "- [x" | "- [x]" | "- [ ]")
            || !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Cuts a line break off whose tag is not complete.
fn hide_tag(text: &str) -> &str {
    ["<br /", "<br/", "<br ", "<br", "<b", "<"]
        .iter()
        .find_map(|tag| text.strip_suffix(tag))
        .unwrap_or(text)
}

/// Where a run of exactly so many backticks ends.
fn closing_run(text: &str, count: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = text[at..].find('`').map(|found| at + found) {
        let rest = text[start..].trim_start_matches('`');
        at = text.len() - rest.len();
        if at - start == count {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_closed_or_hidden() {
        for (markdown, expected) in [
            ("", ""),
            ("plain text", "plain text"),
            ("a **bold wo", "a **bold wo**"),
            ("a **bold ", "a **bold**"),
            ("a **", "a "),
            ("a **bold*", "a **bold**"),
            ("a **bold** and", "a **bold** and"),
            ("a ***b* c", "a ***b* c**"),
            ("*a **b", "*a **b***"),
            ("snake_case 5*3 2 * 3", "snake_case 5*3 2 * 3"),
            ("漢**字", "漢**字**"),
            ("~~gone", "~~gone~~"),
            ("use `cod", "use `cod`"),
            ("use `", "use "),
            ("**use ``a`", "**use ``a``**"),
            ("`a` **`b", "`a` **`b`**"),
            ("see [the la", "see the la"),
            ("see [the label](https://x.y/z", "see the label"),
            ("![pic](htt", "pic"),
            ("[a](b) c [d]", "[a](b) c [d]"),
            ("text\n-", "text"),
            ("text\n\n1.", "text\n"),
            ("- a\n- **b", "- a\n- **b**"),
            ("- **a\n- b", "- **a\n- b"),
            ("1. **a\n2. b", "1. **a\n2. b"),
            ("**a\n*b* c", "**a\n*b* c**"),
            ("a <br", "a "),
            ("**old\n\nnew", "**old\n\nnew"),
            ("\\*a \\", "\\*a \\"),
            ("```py\nx = **y", "```py\nx = **y"),
            ("```py\nx\n``", "```py\nx"),
            ("```py\nx\n```\n**y", "```py\nx\n```\n**y**"),
        ] {
            assert_eq!(unfinished(markdown), expected, "{markdown:?}");
        }
    }
}
