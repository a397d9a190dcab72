//! Telegram: spans as entities, counted in UTF-16 code units.

use tertulia_domain::{Style, Styled};

use crate::{address, weaver::trimmed};

/// A look over a stretch of text, as the Bot API counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Where it begins, in UTF-16 code units.
    pub offset: usize,
    /// How long it is, in UTF-16 code units.
    pub length: usize,
    /// What it does.
    pub kind: EntityKind,
}

/// What an entity does; the names are the Bot API's where ours differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityKind {
    /// `bold`.
    Bold,
    /// `italic`.
    Italic,
    /// `underline`.
    Underline,
    /// `strikethrough`.
    Strike,
    /// `spoiler`.
    Spoiler,
    /// `code`.
    Code,
    /// `pre`.
    Pre {
        /// The language, where it is known.
        language: Option<String>,
    },
    /// `text_link`.
    Link {
        /// Where it leads.
        url: String,
    },
    /// `blockquote`.
    Quote,
}

/// Gives the entities of a text, in order of their start, outer ones first.
///
/// Space at the ends of an entity is left out of it, and so is an address that Telegram would
/// refuse the whole message for.
pub fn entities(styled: &Styled) -> Vec<Entity> {
    let measure = Measure::new(&styled.text);
    let mut entities: Vec<Entity> = styled
        .spans
        .iter()
        .filter_map(|span| {
            let range = match span.style {
                // Indentation of the first line and space within code are meant, also when quoted.
                Style::Pre(_) | Style::Code | Style::Quote => span.range.clone(),
                _ => trimmed(&styled.text, span.range.clone()),
            };
            let shown = styled.text[range.clone()].contains(|c: char| !c.is_whitespace());
            let kind = shown.then(|| EntityKind::of(&span.style)).flatten()?;
            let offset = measure.at(range.start);
            Some(Entity {
                offset,
                length: measure.length(range.start, range.end, offset),
                kind,
            })
        })
        .collect();
    entities.sort_by_key(|entity| (entity.offset, std::cmp::Reverse(entity.length)));
    entities
}

// === impl EntityKind ===

impl EntityKind {
    fn of(style: &Style) -> Option<Self> {
        Some(match style {
            Style::Bold => Self::Bold,
            Style::Italic => Self::Italic,
            Style::Underline => Self::Underline,
            Style::Strike => Self::Strike,
            Style::Spoiler => Self::Spoiler,
            Style::Code => Self::Code,
            Style::Pre(language) => Self::Pre {
                language: language.clone(),
            },
            Style::Link(url) => Self::Link {
                url: address::public(url)?,
            },
            Style::Quote => Self::Quote,
        })
    }
}

/// UTF-16 offsets of byte offsets, without walking the text once for each.
struct Measure<'a> {
    text: &'a str,
    /// Every `STEP` bytes (on the next boundary): byte offset, UTF-16 offset.
    marks: Vec<(usize, usize)>,
}

const STEP: usize = 256;

// === impl Measure ===

impl<'a> Measure<'a> {
    fn new(text: &'a str) -> Self {
        let (mut marks, mut units) = (vec![(0, 0)], 0);
        for (at, c) in text.char_indices() {
            if at >= marks.len() * STEP {
                marks.push((at, units));
            }
            units += c.len_utf16();
        }
        Self { text, marks }
    }

    fn at(&self, byte: usize) -> usize {
        let nth = self.marks.partition_point(|(at, _)| *at <= byte) - 1;
        let (at, units) = self.marks[nth];
        units + self.text[at..byte].encode_utf16().count()
    }

    fn length(&self, start: usize, end: usize, offset: usize) -> usize {
        if end - start <= STEP {
            self.text[start..end].encode_utf16().count()
        } else {
            self.at(end) - offset
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn shown(markdown: &str) -> Vec<(usize, usize, EntityKind)> {
        entities(&parse(markdown))
            .into_iter()
            .map(|entity| (entity.offset, entity.length, entity.kind))
            .collect()
    }

    #[test]
    fn offsets_count_utf16_units() {
        assert_eq!(
            shown("👩‍👩‍👧 **é𝄞** `x`"),
            [(9, 3, EntityKind::Bold), (13, 1, EntityKind::Code)]
        );
        let far = format!("{} **b** and *{}*", "漢字😀".repeat(200), "é😀".repeat(200));
        assert_eq!(
            shown(&far),
            [(801, 1, EntityKind::Bold), (807, 600, EntityKind::Italic)]
        );
    }

    #[test]
    fn entities_carry_language_and_address() {
        assert_eq!(
            shown("```rust\nfn\n```\n[a](https://example.com/x)"),
            [
                (
                    0,
                    2,
                    EntityKind::Pre {
                        language: Some("rust".into())
                    }
                ),
                (
                    4,
                    1,
                    EntityKind::Link {
                        url: "https://example.com/x".into()
                    }
                ),
            ]
        );
    }

    #[test]
    fn spans_made_elsewhere_are_made_acceptable() {
        let span = |range, style| tertulia_domain::Span { range, style };
        let styled = Styled {
            text: "a b  c".into(),
            spans: vec![
                span(0..5, Style::Bold),
                span(2..3, Style::Link("http://localhost/".into())),
                span(3..5, Style::Spoiler),
            ],
        };
        let found = entities(&styled);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].offset, found[0].length), (0, 3));
    }
}
