"""Writes tables as LaTeX: an environment each, with booktabs rules, caption and label, no wider than an article's page.

pandas writes them. A table wider than the line is set small. Its long columns become paragraphs, in which a cell's
bracket, its interval, is on a line of its own. The only package needed is booktabs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kws.reports.fold_grids import fold_grids
from kws.reports.folds import FoldTable
from kws.reports.table import Table
from kws.reports.text_tables import Grid, grids

_LETTER, _GAP = (
    0.0145,
    0.035,
)  # shares of a 10 pt article's line width: a letter in the size small, and a column's padding on both sides
_FITS = 62  # letters of all columns together that fit in the normal size
_SHORT = 16  # letters up to which a column is as wide as it needs to be
_BROKEN = 15  # letters of a line of a name that is broken over lines
_SENTENCE = 90  # letters above which a cell is prose, whose brackets stay in the line
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def latex(tables: list[Table], *, with_runs: bool = False, folds: Sequence[FoldTable] = ()) -> str:
    """One table environment for every grid of these tables."""
    every = [grid for table in tables for grid in grids(table, with_runs=with_runs)]
    every += [grid for table in folds for grid in fold_grids(table, with_runs=with_runs)]
    made = [grid.fitting(_fits) for grid in every]
    return "\n".join(
        "".join(f"% left out, as the line is too narrow: {name}\n" for name in left_out) + _environment(grid, number)
        for number, (grid, left_out) in enumerate(made, start=1)
    )


def _fits(lengths: Sequence[int]) -> bool:
    """Whether columns are no wider than the line, where names are broken over lines of it."""
    names, *others = lengths
    return _LETTER * (min(names, _BROKEN) + sum(others)) + _GAP * len(lengths) <= 1


def _environment(grid: Grid, number: int) -> str:
    import pandas as pd

    lengths = [max(map(len, column)) for column in zip(grid.columns, *grid.rows, strict=True)]
    wide = sum(lengths) + 2 * len(lengths) > _FITS
    long = {j for j, length in enumerate(lengths) if wide and length > _SHORT}

    def text(i: int, j: int) -> str:
        escaped = _escape(grid.rows[i][j]).replace(r" \%", r"\,\%").replace("\u00b1", r"$\pm$")
        if j in long and len(escaped) <= _SENTENCE:
            escaped = re.sub(r" (\([^()]*\))$", lambda found: rf"\newline {found[1].replace(' ', '~')}", escaped)
        bold = rf"\textbf{{{escaped}}}" if (i, j) in grid.bold else escaped
        return rf"\raggedright {bold}" if j in long and j < len(lengths) - 1 else bold

    names, *columns = range(len(grid.columns))
    frame = pd.DataFrame(
        [[text(i, j) for j in columns] for i in range(len(grid.rows))],
        index=[text(i, names) for i in range(len(grid.rows))],
        columns=[_escape(grid.columns[j]) for j in columns],
    )
    written = frame.style.to_latex(
        hrules=True,
        position="htbp",
        position_float="centering",
        column_format=_column_format(grid, lengths, long),
        caption=_escape(" ".join([grid.caption, *(f"Note: {note}." for note in grid.notes)])),
        label=f"tab:kws-{number}",
    )
    if grid.columns[names]:
        head = _escape(grid.columns[names])
        written = written.replace("\\toprule\n &", f"\\toprule\n{head} &", 1)
    return written.replace("\\centering\n", "\\centering\n\\small\n", 1) if wide else written


def _column_format(grid: Grid, lengths: list[int], long: set[int]) -> str:
    """The column format: each as wide as it needs to be, or the long ones sharing what is left of the line."""
    if not long:
        return "l" + "r" * (len(lengths) - 1)
    whole = {j: max(len(part) for row in (grid.columns, *grid.rows) for part in _unbroken(row[j])) for j in long}
    more = {j: lengths[j] - whole[j] + 1 for j in long}
    short = _LETTER * sum(length for j, length in enumerate(lengths) if j not in long)
    left = max(1 - _GAP * len(lengths) - short - _LETTER * sum(whole.values()), 0.0)
    share = {j: _LETTER * whole[j] + left * more[j] / sum(more.values()) for j in long}
    return "".join(rf"p{{{share[j]:.3f}\linewidth}}" if j in long else "r" if j else "l" for j in range(len(lengths)))


def _unbroken(text: str) -> list[str]:
    """The parts of a cell that stay on one line."""
    return re.findall(r"\([^()]*\)$|\S+", text)


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
