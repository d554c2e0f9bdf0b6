"""FileTable: a table in a file, cell by cell as plain text, and the text that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """A cell's text without markup, and whether any of it was bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True, kw_only=True)
class FileTable:
    """A table of a file: the names of its columns, the first of which heads the rows' names, and its rows.

    `near` are the paragraphs of its caption and notes, `far` those of the text around it in the same section. For a
    table drawn for a terminal, `lines` are its lines as drawn. Those with an index in `broken` may continue the row
    above, where a cell was too long for its column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Said, ...], ...]
    near: tuple[str, ...] = ()
    far: tuple[str, ...] = ()
    lines: tuple[tuple[str, ...], ...] = ()
    broken: frozenset[int] = frozenset()
