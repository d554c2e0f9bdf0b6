"""Compares tables of text with the registry's: the report's figures, its claims, runs of every cell, tables over folds.

A row of the file is matched with the registry's row that shares most of its cells, so that one cell that differs never
hides the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from kws.reports import facts
from kws.reports.facts import Facts
from kws.reports.findings import Compared
from kws.reports.reprints import reprinted
from kws.reports.text_tables import Grid
from kws.reports.tokens import content, normal, tokens
from kws.reports.written_tables import FileTable, Said

_NOTHING = {"-", "--", "---", "\u2013", "\u2014"}
Cells = list[str]


def fit(grid: Grid, file: FileTable) -> int:
    """How many columns and rows a file's table shares with a grid; 0 if it is another table."""
    columns = columns_of(grid, file)
    named = [name for name in file.columns if name]
    shared = sum(column is not None and bool(name) for name, column in zip(file.columns, columns, strict=True))
    if 2 * shared <= len(named) or not shared:
        return 0
    rows = sum(row is not None for row in _rows(grid, _filled(file.rows), columns))
    return shared + rows if rows else 0


def rows_and_columns(named: Iterable[str], grid: Grid, file: FileTable, known: Facts) -> Iterator[Compared]:
    """Compare every cell of such a table, in which what is `named` stands for itself."""
    names = {*named, *(row[0] for row in grid.rows)}
    columns, filled = columns_of(grid, file), _filled(file.rows)
    stated = [[*row] for row in _down(grid.rows)]
    for name, column in zip(file.columns, columns, strict=True):
        if column is None:
            yield Compared(column=name, what="column", file=name, registry="")
    for column, name in enumerate(grid.columns):
        if column not in columns:
            yield Compared(what="column", file="", registry=name, about=name, unchecked=True)
    found = _rows(grid, filled, columns)
    for said, row in zip(filled, found, strict=True):
        label = _label(grid, row) if row is not None else next(filter(None, said), "")
        if row is None:
            yield Compared(row=label, what="row", file=label, registry="")
            continue
        for place, column in enumerate(columns):
            if column is not None:
                shown = Compared(row=label, column=grid.columns[column], what="text", file="", registry="")
                text, there = said[place] if place < len(said) else "", stated[row][column]
                if text and there in names and not facts.same_name(text, there):
                    yield replace(shown, what="name", file=text, registry=there)
                else:
                    yield from _cell(text, there, known, shown)
        yield from (Compared(row=label, what="cell", file=text, registry="") for text in said[len(columns) :] if text)
    for row in range(len(stated)):
        if row not in found:
            yield Compared(what="row", file="", registry=_label(grid, row), about=_label(grid, row), unchecked=True)
    bold = {
        (found[i], columns[j])
        for i, row in enumerate(file.rows)
        for j, each in enumerate(row)
        if _bold(each, j, columns)
    }
    for i, j in sorted((i, j) for i, j in bold if i is not None and j):
        if grid.bold and (i, j) not in grid.bold:
            yield Compared(row=_label(grid, i), column=grid.columns[j], what="bold", file="bold", registry="not bold")


def _bold(said: Said, place: int, columns: Sequence[int | None]) -> bool:
    return said.bold and place < len(columns) and columns[place] is not None


def _cell(said: str, stated: str, known: Facts, shown: Compared) -> Iterator[Compared]:
    if said in _NOTHING or not content(tokens(normal(said))):
        if normal(said) != normal(stated) and (said or stated):
            blank = not said
            yield replace(shown, file=said, registry=stated, about=stated if blank else "", unchecked=blank)
    elif stated in ("", *_NOTHING):
        yield replace(shown, file=said, registry=stated)
    else:
        yield from reprinted(said, stated, known, shown)


def columns_of(grid: Grid, file: FileTable) -> list[int | None]:
    """The grid's column for each of the file's, or None; a first column without a name matches the file's first."""
    found: list[int | None] = []
    for place, name in enumerate(file.columns):
        named = [j for j, each in enumerate(grid.columns) if each and name and facts.same_name(each, name)]
        first = place == 0 and not grid.columns[0]
        found.append(0 if first else next((j for j in named if j not in found), None))
    return found


def _rows(grid: Grid, said: Sequence[Cells], columns: Sequence[int | None]) -> list[int | None]:
    """The grid's row for each of the file's, or None, each used at most once; the best pairs are matched first."""
    stated = _down(grid.rows)
    keys = [[_key(cell) for cell in row] for row in stated]
    pairs = []
    for i, row in enumerate(said):
        theirs = [
            (_key(row[place]), column)
            for place, column in enumerate(columns)
            if column is not None and place < len(row)
        ]
        for k, ours in enumerate(keys):
            same = sum(bool(key) and key == ours[column] for key, column in theirs)
            if same:
                pairs.append((-same, abs(i - k), i, k))
    found: list[int | None] = [None] * len(said)
    taken = set()
    for _, _, i, k in sorted(pairs):
        if found[i] is None and k not in taken:
            found[i] = k
            taken.add(k)
    return found


def _key(text: str) -> tuple[str, ...]:
    return tuple(each.text for each in content(tokens(normal(text))))


def _filled(rows: Sequence[tuple[Said, ...]]) -> list[Cells]:
    return _down([tuple(said.text for said in row) for row in rows])


def _down(rows: Sequence[tuple[str, ...]]) -> list[Cells]:
    """Rows whose first two cells, if both are empty, come from the row above: a name that is not repeated."""
    made: list[Cells] = []
    for row in rows:
        above = made[-1][:2] if made and not any(row[:2]) else []
        made.append([text or (above[j] if j < len(above) else "") for j, text in enumerate(row)])
    return made


def _label(grid: Grid, row: int) -> str:
    """The first cell of a row that is unique in its column; the row's number if there is none."""
    columns = list(zip(*grid.rows, strict=True))
    return next((text for j, text in enumerate(grid.rows[row]) if text and columns[j].count(text) == 1), str(row + 1))
