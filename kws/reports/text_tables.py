"""Grid: a caption over columns and rows of text; a table before a format writes it.

Table 1, the report's figures beside ours, its claims and the runs of every cell are grids; formats know nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.reports.metrics import Metric

if TYPE_CHECKING:
    from kws.reports.cells import Cell
    from kws.reports.reference import Paper
    from kws.reports.table import Table

COMMIT_LETTERS = 12


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows with one text per column; `bold` has the (row, column) places that are bold, from 0."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = ()


def grids(table: Table, *, with_runs: bool = False) -> list[Grid]:
    """A table's grids: itself, the report's figures and claims if it has them, and on request the runs of each cell."""
    made = [_main(table)]
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
    text = metric.text(cell.mean)
    if cell.std is not None:
        text += f" \u00b1 {metric.bare(cell.std)}"
    about = []
    if cell.low is not None and cell.high is not None:
        about.append(f"{metric.bare(cell.low)} to {metric.bare(cell.high)}")
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


def _paper(paper: Paper) -> list[Grid]:
    from kws.reports.reference import CLAIMS, LEVEL
    from kws.reports.statistics import CONFIDENCE

    figures = Grid(
        caption=(
            f"Test accuracy in {paper.source} and here; intervals of the differences are {100 * CONFIDENCE:g} %, for "
            "one run of the report on as many other clips."
        ),
        columns=("", "report", "here", "difference in points"),
        rows=tuple((each.title, each.reported_text, each.here_text, each.difference_text) for each in paper.figures),
        notes=paper.remarks,
    )
    rows = []
    for claim in paper.claims:
        for i, each in enumerate(claim.evidence):
            head = (str(claim.number), claim.statement) if i == 0 else ("", "")
            rows.append((*head, each.verdict, each.text))
    claims = Grid(
        caption=(
            f"What it claims, and what these runs say of each part (intervals are {100 * LEVEL:.4g} %, so that all "
            f"{CLAIMS} claims are right with {100 * CONFIDENCE:g} %; with one seed nothing can be told)."
        ),
        columns=("", "claim", "verdict", "measured here"),
        rows=tuple(rows),
    )
    return [figures, claims]


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
