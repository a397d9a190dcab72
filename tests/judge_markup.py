#!/usr/bin/env python3
"""Judges texts with entities by Telegram's own library.

Reads JSON lines from stdin, each {"text": ..., "entities": [{"type", "offset", "length", ...}]} as
the Bot API writes them (type bold, italic, underline, strikethrough, spoiler, code, pre with
language, text_link with url, blockquote). For each line TDLib must

1. accept text and entities and leave both as they are (nothing trimmed, merged, cut or dropped),
2. read the same text and entities from HTML that is built from the same spans.

Prints the number of judged lines; at the first offender says why on stderr and ends with 1.
Needs the package `tdjson` (no login, no network).
"""

import html
import json
import sys

import tdjson

TYPES = {
    "bold": ("Bold", "b"),
    "italic": ("Italic", "i"),
    "underline": ("Underline", "u"),
    "strikethrough": ("Strikethrough", "s"),
    "spoiler": ("Spoiler", "tg-spoiler"),
    "code": ("Code", "code"),
    "pre": ("Pre", "pre"),
    "text_link": ("TextUrl", "a"),
    "blockquote": ("BlockQuote", "blockquote"),
}
LOOKS = {"Bold", "Italic", "Underline", "Strikethrough", "Spoiler"}
LIMIT = 4096
MOST = 100

# TDLib offers no call that only checks, but one that checks and then reads its Markdown in the
# text. Its marks are replaced by letters of the same width, so that there is nothing to read.
UNMARKED = str.maketrans({mark: "x" for mark in "*_~`|[]()="})


class Refused(Exception):
    """Why a text is not acceptable."""


def execute(request):
    answer = json.loads(tdjson.td_execute(json.dumps(request).encode()))
    if answer["@type"] == "error":
        raise Refused(answer["message"])
    return answer


def td_type(entity):
    kind = entity["type"]
    if kind not in TYPES:
        raise Refused(f"unknown type {kind!r}")
    if kind == "pre" and entity.get("language"):
        return {"@type": "textEntityTypePreCode", "language": entity["language"]}
    if kind == "text_link":
        return {"@type": "textEntityTypeTextUrl", "url": entity["url"]}
    return {"@type": "textEntityType" + TYPES[kind][0]}


def marks(entities):
    """Entities of TDLib in a form that can be compared.

    TDLib cuts a look where another one begins within it and joins neighbours, which looks the
    same; for looks only the places count, for the others each range. Addresses it writes anew.
    """
    ranges, looks = [], {}
    for entity in entities:
        kind = entity["type"]["@type"].removeprefix("textEntityType")
        start, end = entity["offset"], entity["offset"] + entity["length"]
        if kind in LOOKS:
            looks.setdefault(kind, set()).update(range(start, end))
        else:
            ranges.append((start, end, kind, entity["type"].get("language") or ""))
    return sorted(ranges), {kind: sorted(places) for kind, places in looks.items()}


def utf16(text):
    return len(text.encode("utf-16-le")) // 2


def spans_as_html(text, entities):
    """Writes the same text as HTML; entities come in order, outer ones first."""
    units = text.encode("utf-16-le")
    out, at, open_tags = [], 0, []

    def write_until(end):
        nonlocal at
        out.append(html.escape(units[2 * at : 2 * end].decode("utf-16-le")))
        at = end

    def close_until(start):
        while open_tags and open_tags[-1][0] <= start:
            end, tags = open_tags.pop()
            write_until(end)
            out.append(tags)

    for entity in entities:
        start, end = entity["offset"], entity["offset"] + entity["length"]
        close_until(start)
        write_until(start)
        if open_tags and end > open_tags[-1][0]:
            raise Refused(f"entity {entity} cuts another one")
        tag = TYPES[entity["type"]][1]
        if tag == "a":
            out.append(f'<a href="{html.escape(entity["url"])}">')
        elif tag == "pre" and entity.get("language"):
            out.append(f'<pre><code class="language-{html.escape(entity["language"])}">')
        else:
            out.append(f"<{tag}>")
        closing = "</code></pre>" if tag == "pre" and entity.get("language") else f"</{tag}>"
        open_tags.append((end, closing))
    close_until(utf16(text))
    write_until(utf16(text))
    return "".join(out)


def judge(text, entities):
    if not text.strip():
        raise Refused("nothing to show")
    if text != text.rstrip(" \n"):
        raise Refused("space at the end would be cut")
    if utf16(text) > LIMIT:
        raise Refused(f"{utf16(text)} units are too many")
    if len(entities) > MOST:
        raise Refused(f"{len(entities)} entities are too many")
    given = [
        {
            "@type": "textEntity",
            "offset": entity["offset"],
            "length": entity["length"],
            "type": td_type(entity),
        }
        for entity in entities
    ]
    formatted = {
        "@type": "formattedText",
        "text": text.translate(UNMARKED),
        "entities": given,
    }
    kept = execute({"@type": "parseMarkdown", "text": formatted})
    if kept["text"] != formatted["text"]:
        raise Refused(f"the text became {kept['text']!r}")
    if marks(kept["entities"]) != marks(given):
        raise Refused(f"the entities became {marks(kept['entities'])}, not {marks(given)}")
    # The same words, marks included, must not be refused either.
    execute({"@type": "getMarkdownText", "text": {**formatted, "text": text}})

    read = execute(
        {
            "@type": "parseTextEntities",
            "text": spans_as_html(text, entities),
            "parse_mode": {"@type": "textParseModeHTML"},
        }
    )
    if read["text"] != text:
        raise Refused(f"as HTML the text is {read['text']!r}")
    if marks(read["entities"]) != marks(given):
        raise Refused(f"as HTML the entities are {marks(read['entities'])}, not {marks(given)}")


def main():
    execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": 0})
    judged = 0
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
            judge(document["text"], document["entities"])
        except (Refused, KeyError, ValueError) as refused:
            print(f"line {number}: {refused!r}\n{line.rstrip()}", file=sys.stderr)
            return 1
        judged += 1
    print(judged)
    return 0


if __name__ == "__main__":
    sys.exit(main())
