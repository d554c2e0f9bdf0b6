"""The tables of a Markdown or text file: pipe tables, and those that `kws compare` draws with a rule for a terminal.

To a pipe table belong the paragraph before it, notes after it, and, where no other table follows in its section, the
paragraph after it; to a drawn one the paragraph that follows at once. The rest of its section is around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kws.reports.written_tables import FileTable, Said

_COMMENT = re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL)
_COLOUR = re.compile("\x1b\\[[0-9;]*[A-Za-z]")
_PIPE_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_DRAWN_RULE = re.compile("[ \u2500\u2501]*[\u2500\u2501]{3}[ \u2500\u2501]*")
_BOLD = re.compile(
    r"(?<!\\)\*\*(?=\S)(.{1,200}?)(?<=\S)(?<!\\)\*\*|(?<![\\\w])__(?=\S)(.{1,200}?)(?<=\S)(?<!\\)__(?!\w)"
    r"|(?<!\\)<(?:b|strong)>(.{0,200}?)(?<!\\)</(?:b|strong)>"
)
_EMPHASIS = re.compile(r"(?<!\\)\*(?=\S)([^*]+?)(?<=\S)(?<!\\)\*")
_TARGET = re.compile(r"!\[[^\]]*\]\([^)]*\)|(?<=(?<!\\)\])\([^)\s]*\)")  # a picture, or where a link leads
_TAG = re.compile(r"(?<!\\)</?[a-zA-Z][^<>]{0,100}(?<!\\)>")
_BREAKS = re.compile(r"\s*(?:#|```|~~~|\$ kws )")
_HEADING = re.compile(r"\s*#+\s*(?:[\d.]+(?=\s))?")
_NOTE = re.compile(r"\W*note\b", re.IGNORECASE)


@dataclass
class _Section:
    """What stands between two headings: tables (columns, rows, whether drawn), and paragraphs between them."""

    tables: list[tuple[tuple[str, ...], list[tuple[Said, ...]], bool]] = field(default_factory=list)
    paragraphs: list[tuple[int, str]] = field(default_factory=list)  # how many tables stand before it


def markdown(text: str) -> Iterator[FileTable]:
    """The tables of a Markdown or text file, in order."""
    lines = _COLOUR.sub("", _COMMENT.sub("\n", text)).splitlines()
    section, words, i = _Section(), list[str](), 0

    def end_paragraph() -> None:
        for part in re.split(r"(?=\bNote: )", " ".join(words)):
            if part.strip():
                section.paragraphs.append((len(section.tables), _plain(part).text))
        words.clear()

    while i < len(lines):
        following = lines[i + 1] if i + 1 < len(lines) else ""
        if "|" in lines[i] and _PIPE_RULE.fullmatch(following) and not _PIPE_RULE.fullmatch(lines[i]):
            end_paragraph()
            head, rows, i = lines[i], list[tuple[Said, ...]](), i + 2
            while i < len(lines) and "|" in lines[i]:
                rows.append(tuple(_pipes(lines[i])))
                i += 1
            section.tables.append((tuple(said.text for said in _pipes(head)), rows, False))
        elif lines[i].strip() and _DRAWN_RULE.fullmatch(following):
            end_paragraph()
            body = i + 2
            while body < len(lines) and lines[body].strip():
                body += 1
            columns, *drawn = _drawn([lines[i], *lines[i + 2 : body]])
            section.tables.append((tuple(said.text for said in columns), drawn, True))
            i = body + 1
        else:
            if _BREAKS.match(lines[i]):
                end_paragraph()
                if lines[i].lstrip().startswith("#"):
                    yield from _placed(section)
                    section = _Section()
                    words.append(_HEADING.sub("", lines[i]))
                    end_paragraph()
            elif lines[i].strip():
                words.append(lines[i])
            else:
                end_paragraph()
            i += 1
    end_paragraph()
    yield from _placed(section)


def _placed(section: _Section) -> Iterator[FileTable]:
    """A section's tables, each with its paragraphs; what belongs to none is far from those before and after it."""
    near: list[list[int]] = []
    for place, (_, _, drawn) in enumerate(section.tables, start=1):
        before, after = ([k for k, each in enumerate(section.paragraphs) if each[0] == at] for at in (place - 1, place))
        captions = [k for k in before if not _NOTE.match(section.paragraphs[k][1])]
        notes = next((i for i, k in enumerate(after) if not _NOTE.match(section.paragraphs[k][1])), len(after))
        if drawn:
            near.append(after[:1] + [k for k in after[1:] if _NOTE.match(section.paragraphs[k][1])])
        else:
            first = [k for k in before if k not in captions] if place == 1 else []
            near.append(first + captions[-1:] + after[: notes + (place == len(section.tables))])
    taken = {k for each in near for k in each}
    for place, (columns, rows, _) in enumerate(section.tables, start=1):
        yield FileTable(
            columns=columns,
            rows=tuple(rows),
            near=tuple(section.paragraphs[k][1] for k in near[place - 1]),
            far=tuple(t for k, (at, t) in enumerate(section.paragraphs) if at in (place - 1, place) and k not in taken),
        )


def _pipes(line: str) -> Iterator[Said]:
    inner = re.sub(r"(?<!\\)\|$", "", line.strip().removeprefix("|"))
    return map(_plain, re.split(r"(?<!\\)\|", inner))


def _drawn(lines: list[str]) -> list[tuple[Said, ...]]:
    """The cells of a drawn table, whose columns two or more spaces part in every line."""
    width = max(map(len, lines))
    starts, gap = [0], 0
    for place in range(width):
        if all(line[place : place + 1] in ("", " ") for line in lines):
            gap += 1
            continue
        if 2 <= gap < place:
            starts.append(place)
        gap = 0
    rows: list[list[str]] = []
    for line in lines:
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], width], strict=True)]
        filled = sum(map(bool, cells))
        if len(rows) > 1 and filled and not cells[0] and 2 * filled <= len(cells):  # the rest of a cell that was broken
            rows[-1] = [" ".join([*filter(None, pair)]) for pair in zip(rows[-1], cells, strict=True)]
        elif filled:
            rows.append(cells)
    return [tuple(map(_plain, row)) for row in rows]


def _plain(text: str) -> Said:
    """A piece of Markdown as the text that it shows."""
    text = _TARGET.sub("", text)
    bold = bool(_BOLD.search(text))
    text = _BOLD.sub(lambda found: found[1] or found[2] or found[3] or "", text)
    text = _TAG.sub(" ", _EMPHASIS.sub(r"\1", text))
    return Said(re.sub(r"\\([\\|*_`<>\[\]{}()#+.!~-])", r"\1", text).strip(), bold)
