"""Joins the rows of a table drawn for a terminal, where a line may continue the row above.

Two lines may be one row whose cells were too long, or two rows of which the second does not repeat its name. The
drawing does not show which. So lines are joined such that the rows come closest to those of the registry's table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from kws.reports.markdown_tables import drawn_cell
from kws.reports.text_tables import Grid
from kws.reports.written_tables import FileTable

_MOST = 60  # lines that one row may take
Line = tuple[str, ...]


def joined(file: FileTable, grid: Grid, columns: Sequence[int | None]) -> FileTable:
    """The table with its rows joined; `columns` has the grid's column for each of the file's."""
    if not file.broken or all(column is None for column in columns):
        return file
    words = [set() if j is None else {word for row in grid.rows for word in row[j].split()} for j in columns]
    rows_of_grid = [[Counter(row[j].split()) for j in columns if j is not None] for row in grid.rows]
    stated = [(row, sum(each.total() for each in row)) for row in rows_of_grid]

    def cost(row: Line) -> int:
        """How many words differ between a row and the closest row of the grid."""
        said = [Counter(drawn_cell(text).text.split()) for text, j in zip(row, columns, strict=True) if j is not None]
        many = sum(each.total() for each in said)
        return min(many + total - 2 * sum(map(_shared, said, each)) for each, total in stated)

    starts = [place for place in range(len(file.lines)) if place not in file.broken]
    rows: list[Line] = []
    for start, end in zip(starts, [*starts[1:], len(file.lines)], strict=True):
        rows += _closest(file.lines[start:end], words, cost)
    return replace(file, rows=tuple(tuple(map(drawn_cell, row)) for row in rows))


def _closest(lines: Sequence[Line], words: Sequence[Collection[str]], cost: Callable[[Line], int]) -> list[Line]:
    """The rows made of these lines that cost least in total."""
    if len(lines) == 1:
        return list(lines)
    least: list[tuple[float, list[Line]]] = [(0, []), *((math.inf, list[Line]()) for _ in lines)]
    for start in range(len(lines)):
        so_far, rows = least[start]
        row = lines[start]
        for end in range(start + 1, min(len(lines), start + _MOST) + 1):
            if end > start + 1:
                row = tuple(map(_together, row, lines[end - 1], words))
            total = so_far + cost(row)
            if total < least[end][0]:
                least[end] = total, [*rows, row]
    return least[-1][1]


def _together(above: str, below: str, words: Collection[str]) -> str:
    """A cell joined with its continuation; a word that was longer than the column becomes whole again."""
    if not above or not below:
        return above or below
    cut = above.split()[-1] + below.split()[0] in words
    return above + below if cut else f"{above} {below}"


def _shared(one: Counter[str], other: Counter[str]) -> int:
    return sum(min(many, other.get(word, 0)) for word, many in one.items())
