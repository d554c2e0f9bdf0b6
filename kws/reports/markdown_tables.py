"""Reads the tables of a Markdown or text file: pipe tables, and those that `kws compare` draws for a terminal.

A pipe table has the paragraph before it, the notes after it and, if no other table follows in its section, the
paragraph after it. A drawn table, which has a rule, has the paragraph directly after it. The rest of the section is the
text around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from kws.reports.line_breaks import pieces
from kws.reports.text_tables import BEST_MARK
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
_TARGET = re.compile(r"!\[[^\]]*\]\([^)]*\)|(?<=(?<!\\)\])\([^)\s]*\)")  # an image, or the target of a link
_TAG = re.compile(r"(?<!\\)</?[a-zA-Z][^<>]{0,100}(?<!\\)>")
_BREAKS = re.compile(r"\s*(?:#|```|~~~|\$ kws )")
_HEADING = re.compile(r"\s*#+\s*(?:[\d.]+(?=\s))?")
_NOTE = re.compile(r"\W*note\b", re.IGNORECASE)


@dataclass
class _Section:
    """What is between two headings: tables, and the paragraphs between them."""

    tables: list[FileTable] = field(default_factory=list)
    paragraphs: list[tuple[int, str]] = field(default_factory=list)  # with the number of tables before each


def markdown(text: str) -> Iterator[FileTable]:
    """The tables of a Markdown or text file, in order."""
    lines = _COLOUR.sub("", _COMMENT.sub("\n", text)).splitlines()
    section, words, i = _Section(), list[str](), 0

    def end_paragraph() -> None:
        for part in re.split(r"(?=\bNote: )", " ".join(words)):
            if part.strip():
                section.paragraphs.append((len(section.tables), plain(part).text))
        words.clear()

    while i < len(lines):
        following = lines[i + 1] if i + 1 < len(lines) else ""
        if "|" in lines[i] and _PIPE_RULE.fullmatch(following) and not _PIPE_RULE.fullmatch(lines[i]):
            end_paragraph()
            head, rows, i = lines[i], list[tuple[Said, ...]](), i + 2
            while i < len(lines) and "|" in lines[i]:
                rows.append(tuple(_pipes(lines[i])))
                i += 1
            section.tables.append(FileTable(columns=tuple(said.text for said in _pipes(head)), rows=tuple(rows)))
        elif lines[i].strip() and _DRAWN_RULE.fullmatch(following):
            names = [lines[i]]
            while words and words[-1].startswith("  "):  # column names that were too long for one line
                names.insert(0, words.pop())
            end_paragraph()
            body = i + 2
            while body < len(lines) and lines[body].strip():
                body += 1
            section.tables.append(_drawn(names, lines[i + 2 : body]))
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
    """A section's tables, each with its paragraphs; those of no table are far text of the tables before and after."""
    near: list[list[int]] = []
    for place, table in enumerate(section.tables, start=1):
        before, after = ([k for k, each in enumerate(section.paragraphs) if each[0] == at] for at in (place - 1, place))
        captions = [k for k in before if not _NOTE.match(section.paragraphs[k][1])]
        notes = next((i for i, k in enumerate(after) if not _NOTE.match(section.paragraphs[k][1])), len(after))
        if table.lines:
            near.append(after[:1] + [k for k in after[1:] if _NOTE.match(section.paragraphs[k][1])])
        else:
            first = [k for k in before if k not in captions] if place == 1 else []
            near.append(first + captions[-1:] + after[: notes + (place == len(section.tables))])
    taken = {k for each in near for k in each}
    for place, table in enumerate(section.tables, start=1):
        yield replace(
            table,
            near=tuple(section.paragraphs[k][1] for k in near[place - 1]),
            far=tuple(t for k, (at, t) in enumerate(section.paragraphs) if at in (place - 1, place) and k not in taken),
        )


def _pipes(line: str) -> Iterator[Said]:
    inner = re.sub(r"(?<!\\)\|$", "", line.strip().removeprefix("|"))
    return map(plain, re.split(r"(?<!\\)\|", inner))


def _drawn(head: Sequence[str], body: Sequence[str]) -> FileTable:
    """A drawn table: two or more spaces in every line separate its columns; each line of its body is still a row."""
    width = max(map(len, [*head, *body]))
    starts, gap = [0], 0
    for place in range(width):
        if all(line[place : place + 1] in ("", " ") for line in (*head, *body)):
            gap += 1
            continue
        if 2 <= gap < place:
            starts.append(place)
        gap = 0

    def cells(line: str) -> tuple[str, ...]:
        return tuple(line[a:b].strip() for a, b in zip(starts, [*starts[1:], width], strict=True))

    names = [" ".join(filter(None, parts)) for parts in zip(*map(cells, head), strict=True)]
    lines = tuple(filter(any, map(cells, body)))
    return FileTable(
        columns=tuple(plain(name).text for name in names),
        rows=tuple(tuple(map(drawn_cell, line)) for line in lines),
        lines=lines,
        broken=_broken(head=list(map(cells, head)), lines=lines),
    )


def _broken(head: Sequence[tuple[str, ...]], lines: Sequence[tuple[str, ...]]) -> frozenset[int]:
    """The lines that may continue the row above: each of their cells begins with a word that did not fit there."""
    widths = [max(map(len, column)) for column in zip(*head, *lines, strict=True)]

    def may_go_on(above: str, text: str, width: int) -> bool:
        if not text or not above:
            return not text
        in_brackets = text.startswith("(") or above.rfind("(") > above.rfind(")")
        return in_brackets or len(above) + 1 + len(pieces(text)[0]) > width

    return frozenset(
        place for place in range(1, len(lines)) if all(map(may_go_on, lines[place - 1], lines[place], widths))
    )


def drawn_cell(text: str) -> Said:
    """A cell of a drawn table, in which a mark behind it stands for bold; older ones have Markdown's bold."""
    said = plain(text)
    return Said(said.text.removesuffix(BEST_MARK), bold=True) if said.text.endswith(BEST_MARK) else said


def plain(text: str) -> Said:
    """A piece of Markdown as the text that it shows."""
    text = _TARGET.sub("", text)
    bold = bool(_BOLD.search(text))
    text = _BOLD.sub(lambda found: found[1] or found[2] or found[3] or "", text)
    text = _TAG.sub(" ", _EMPHASIS.sub(r"\1", text))
    return Said(re.sub(r"\\([\\|*_`<>\[\]{}()#+.!~-])", r"\1", text).strip(), bold)
