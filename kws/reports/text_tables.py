"""Grid: a caption over columns and rows of text; a table before a format writes it.

Table 1, a publication's figures beside ours, its claims and the runs of every cell are grids; formats know nothing
else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kws.reports.metrics import Metric

if TYPE_CHECKING:
    from kws.reports.cells import Cell
    from kws.reports.reference import Paper
    from kws.reports.table import Table

COMMIT_LETTERS = 12
BEST_MARK = " *"  # behind the best cell, where nothing can be bold
BEST_LEGEND = "* marks the best."


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows with one text per column; `bold` has the (row, column) places that are bold, from 0."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = ()
    title: str = ""  # instead of a number
    left_out_first: tuple[int, ...] = ()  # the columns that a medium that is too narrow leaves out, in that order

    def without(self, columns: Collection[int]) -> Grid:
        """The same without these columns."""
        kept = [place for place in range(len(self.columns)) if place not in columns]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
            bold=frozenset((i, kept.index(place)) for i, place in self.bold if place in kept),
            left_out_first=(),
        )

    def fitting(self, width: Callable[[Sequence[int]], bool]) -> tuple[Grid, tuple[str, ...]]:
        """The grid without as many columns as must be left out, and their names.

        `width` says whether columns whose longest texts have so many letters fit. A long name may be broken over lines.
        """
        gone: list[int] = []
        for place in (None, *self.left_out_first):
            gone += [] if place is None else [place]
            grid = self.without(gone)
            names, *others = (max(map(len, column)) for column in zip(grid.columns, *grid.rows, strict=True))
            if width([min(names, _NAME), *others]):
                break
        return grid, tuple(name for place, name in enumerate(self.columns) if place in gone)


def grids(table: Table, *, with_runs: bool = False) -> list[Grid]:
    """A table's grids: itself, a publication's figures and claims beside it, and on request the runs of each cell."""
    made = [_leaderboard(table) if table.beside else _main(table)]
    if table.paper:
        made += _paper(table.paper)
    if with_runs:
        made.append(_runs(table))
    return made


def cell_text(metric: Metric, cell: Cell | None) -> str:
    """A cell as tables print it: mean, deviation over the seeds, 95 % interval, n, and = for a tie with the best."""
    if cell is None:
        return "-"
    if cell.reached is not None:
        return _censored_text(metric, cell, cell.reached)
    text = metric.text(cell.mean, cell.std)
    if cell.std is not None:
        text += f" \u00b1 {metric.bare(cell.std, cell.std)}"
    about = []
    if cell.low is not None and cell.high is not None:
        about.append(_interval(metric, cell.low, cell.high, cell.std))
    if cell.n > 1:
        about.append(f"n = {cell.n}")
    text += f" ({', '.join(about)})" if about else ""
    return f"{text} =" if cell.tie else text


def _censored_text(metric: Metric, cell: Cell, reached: int) -> str:
    """A median, and how many of the seeds reached it; no median if half of them or more did not."""
    text = metric.text(cell.mean) if math.isfinite(cell.mean) else "not reached"
    return f"{text} ({reached} of {cell.n} reached it)"


def _main(table: Table) -> Grid:
    rows, bold = [], set()
    for i, row in enumerate(table.rows):
        cells = [table.cell(row, column) for column in table.columns]
        bold |= {(i, 1 + j) for j, cell in enumerate(cells) if cell and cell.best}
        rows.append((row, *(cell_text(table.metric, cell) for cell in cells)))
    return Grid(
        caption=table.caption,
        columns=("", *table.columns),
        rows=tuple(rows),
        bold=frozenset(bold),
        notes=table.notes,
    )


_UNKNOWN = "\u2013"
_NAME = 23  # letters of a name that a narrow medium keeps in one line
_VALUE = {"test-accuracy": "test"}  # what a leaderboard's metric is called beside its other columns, if not by title
_SAME = {  # the column that would say the metric again
    "validation-accuracy": "validation", "parameters": "parameters", "multiply-accumulates": "MACs", "seconds": "time",
}  # fmt: skip
_LEFT_OUT_FIRST = ("MACs", "processor", "\u00b1", "n", "validation", "time", "95 %")


def _leaderboard(table: Table) -> Grid:
    metric = table.metric
    value = _VALUE.get(metric.name, f"{metric.title[0].lower()}{metric.title[1:]}")
    rows = []
    for cell in table.cells:
        about = table.beside[cell.row]
        texts = {
            "recipe": cell.row,
            "": _mean(metric, cell),
            "\u00b1": None if cell.std is None else metric.bare(cell.std, cell.std),
            "95 %": None if cell.low is None or cell.high is None else _interval(metric, cell.low, cell.high, cell.std),
            "n": str(cell.n),
            "validation": None if about.validation_accuracy is None else f"{100 * about.validation_accuracy:.2f} %",
            "parameters": f"{cell.parameters:,}",
            "MACs": None if about.multiply_accumulates is None else f"{about.multiply_accumulates:,}",
            "time": _seconds(about.seconds),
            "processor": None if about.processor_seconds is None else _seconds(about.processor_seconds),
        }
        rows.append(texts)
    columns = [name for name in rows[0] if name != _SAME.get(metric.name) and any(row[name] for row in rows)]
    return Grid(
        caption=table.caption,
        columns=tuple(name or value for name in columns),
        rows=tuple(tuple(row[name] or _UNKNOWN for name in columns) for row in rows),
        bold=frozenset((i, 1) for i, cell in enumerate(table.cells) if cell.best),
        notes=table.notes,
        title=f"Leaderboard on {table.data}",
        left_out_first=tuple(columns.index(name) for name in _LEFT_OUT_FIRST if name in columns),
    )


def _mean(metric: Metric, cell: Cell) -> str:
    """A cell whose deviation and interval stand in columns of their own."""
    if metric.censored:
        return cell_text(metric, cell)
    return f"{metric.text(cell.mean, cell.std)}{' =' * cell.tie}"


def _interval(metric: Metric, low: float, high: float, spread: float | None) -> str:
    return f"{metric.bare(low, spread)} to {metric.bare(high, spread)}"


def _seconds(value: float) -> str:
    """Seconds with at most three digits that matter: times of one recipe differ by some percent."""
    return f"{value:,.0f} s" if value >= 100 else f"{value:,.1f} s"


def _paper(paper: Paper) -> list[Grid]:
    from kws.reports import paper_texts

    figures = Grid(
        caption=paper_texts.figures_caption(paper),
        columns=("", paper.short, "here", "difference in points"),
        rows=paper_texts.figure_rows(paper),
        notes=paper.remarks,
    )
    claims = Grid(
        caption=paper_texts.claims_caption(paper),
        columns=paper_texts.CLAIM_COLUMNS,
        rows=paper_texts.claim_rows(paper),
        notes=paper.goals,
    )
    return [figures, *[claims] * bool(paper.claims)]


def _runs(table: Table) -> Grid:
    by_id = {run.id: run for run in table.runs}
    rows = []
    for cell in table.cells:
        for seed, run_id, value in zip(cell.seeds, cell.runs, cell.values, strict=True):
            environment = by_id[run_id].environment
            commit = (environment.git_commit or "unknown")[:COMMIT_LETTERS] + (" changed" * bool(environment.git_dirty))
            names = (cell.row, cell.column) if run_id == cell.runs[0] else ("", "")
            shown = table.metric.text(value) if math.isfinite(value) else "not reached"
            rows.append((*names, str(seed), run_id, shown, commit))
    return Grid(
        caption=f"The runs of every cell, on {table.data} (fingerprint {table.data_fingerprint}).",
        columns=("row", "column", "seed", "run", table.metric.title, "commit"),
        rows=tuple(rows),
    )
