"""Table 1: a metric, a row a network and a column an optimizer (or any other field), from the registry's finished runs.

Decisions:
- What must be equal for numbers to stand side by side makes the table: the data set's fingerprint, the epochs and which
  of them is taken, the minibatch and the precision, but for what rows or columns are made of. Runs that differ there
  never share a table, and data sets never do.
- What is compared makes rows and columns. What else differs between recipes is said in the row or the column, so that
  no cell mixes recipes.
- A cell folds the seeds of one recipe. A seed counts once, by its latest finished run: training it again is no new
  evidence.
- The best cell is compared with every other by the paired test of kws.reports.inference, corrected by Holm; those that
  it cannot tell from the best are ties.
- What should be equal and is not (versions, commits, threads, the number of seeds) is a note under the table.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws.data_card import TEST
from kws.recipe import FINAL, Recipe
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports import inference, titles
from kws.reports.metrics import METRICS, Metric
from kws.reports.notes import notes

if TYPE_CHECKING:
    from kws.reports.paper import Paper

ALPHA = 0.05
_EQUAL = ("epochs", "batch_size", "precision", "selection")
FIELDS = tuple(field.name for field in dataclasses.fields(Recipe) if field.name not in ("data", "words"))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recipe over its n seeds: the metric's mean, its 95 % interval, and how it stands to the best cell."""

    row: str
    column: str
    arch: str
    opt: str
    parameters: int
    n: int
    mean: float
    std: float | None  # sample standard deviation over the seeds; None for one seed
    low: float | None  # of the interval, which is over seeds, or over the test clips for one seed
    high: float | None
    interval_over: str | None
    best: bool
    tie: bool  # cannot be told from the best
    p: float | None  # Holm's, against the best; None where it was not tested
    seeds: tuple[int, ...]
    runs: tuple[str, ...]  # in the order of their seeds, as are the values
    values: tuple[float, ...]
    commits: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of one data set under equal conditions; a cell is missing where nothing was run."""

    metric: Metric
    data: str
    data_fingerprint: str
    test_clips: int
    conditions: Mapping[str, Any]  # of epochs, batch_size, precision and selection, those that are equal for all cells
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    tested: bool
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    paper: Paper | None = None  # what the report says of it, where that was asked

    @property
    def caption(self) -> str:
        """What the numbers are, in a sentence or three."""
        about = [self.metric.title]
        epochs = self.conditions.get("epochs")
        best = self.conditions.get("selection", FINAL) != FINAL
        if epochs is not None:
            many = f"{epochs} epoch{'' if epochs == 1 else 's'}"
            about.append(f"at the best on the validation split of {many}" if best else f"after {many}")
        if "batch_size" in self.conditions:
            about.append(f"in minibatches of {self.conditions['batch_size']:,}")
        if self.conditions.get("precision", Recipe.precision) != Recipe.precision:
            about.append(f"in {self.conditions['precision']}")
        text = (
            f"{' '.join(about)}, on {self.test_clips:,} test clips of {self.data} "
            f"(fingerprint {self.data_fingerprint[:12]})."
        )
        if any(cell.low is not None for cell in self.cells):
            over = {over for cell in self.cells if (over := cell.interval_over)}
            how = {"seeds": "Student's t over seeds", "clips": "Wilson's over the test clips"}
            text += f" Intervals are 95 %, {' or '.join(how[each] for each in sorted(over, reverse=True))}."
        if self.tested:
            text += (
                " = marks what cannot be told from the best (paired t tests over seeds and over test clips, the larger "
                f"p, Holm's correction, {100 * ALPHA:g} %)."
            )
        return text

    def cell(self, row: str, column: str) -> Cell | None:
        """The cell in that row and column, if anything was run for it."""
        return next((cell for cell in self.cells if (cell.row, cell.column) == (row, column)), None)


def tables(
    registry: RegistryReader,
    runs: Iterable[Run],
    *,
    rows: str = "arch",
    columns: str = "opt",
    metric: Metric = METRICS["test-accuracy"],
    test: bool = True,
) -> list[Table]:
    """The tables of these runs, ordered by data set and conditions."""
    equal = tuple(field for field in _EQUAL if field not in (rows, columns))
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.started_at, run.id)):  # so that a seed's latest run stays
        if run.status == FINISHED and run.test_accuracy is not None:
            conditions = tuple(getattr(run.recipe, field) for field in equal)
            groups.setdefault((run.data_source, run.data_fingerprint, *conditions), []).append(run)
    made = (
        _table(registry, group, rows, columns, metric, dict(zip(equal, key[2:], strict=True)), test)
        for key, group in sorted(groups.items())
    )
    return [table for table in made if table.cells]


def _table(
    registry: RegistryReader,
    runs: list[Run],
    rows: str,
    columns: str,
    metric: Metric,
    conditions: dict[str, Any],
    test: bool,
) -> Table:
    by_cell: dict[tuple[str, str], dict[int, Run]] = {}
    order_of_rows: dict[str, Any] = {}
    order_of_columns: dict[str, Any] = {}
    numbers = titles.numbers_of(runs)
    for run in runs:
        row = titles.title(run, rows, other=columns, numbers=numbers)
        column = titles.title(run, columns, other=rows, numbers=numbers)
        by_cell.setdefault((row, column), {})[run.recipe.seed] = run
        order_of_rows[row], order_of_columns[column] = titles.place(run, rows), titles.place(run, columns)
    values = {
        place: {seed: value for seed in sorted(seeds) if (value := metric.of(registry, seeds[seed])) is not None}
        for place, seeds in by_cell.items()
    }
    values = {place: seeds for place, seeds in values.items() if seeds}
    card = registry.card(runs[0].data_fingerprint)
    means = {place: statistics.mean(seeds.values()) for place, seeds in values.items()}
    best = (max if metric.more_is_better else min)(means.values(), default=0.0)
    leaders = [place for place, mean in means.items() if mean == best]
    tested = test and metric.name == "test-accuracy" and len(values) > 1
    adjusted = (
        _against(registry, by_cell, leaders[0], [p for p in means if p not in leaders], card.labels[TEST])
        if (tested)
        else {}
    )
    cells = tuple(
        _cell(row, column, by_cell[row, column], values[row, column], metric, len(card.labels[TEST]), best, adjusted)
        for row in sorted(order_of_rows, key=lambda each: (order_of_rows[each], each))
        for column in sorted(order_of_columns, key=lambda each: (order_of_columns[each], each))
        if (row, column) in values
    )
    used = [by_cell[place][seed] for place, seeds in values.items() for seed in seeds]
    return Table(
        metric=metric,
        data=runs[0].data_source,
        data_fingerprint=runs[0].data_fingerprint,
        test_clips=len(card.labels[TEST]),
        conditions=conditions,
        rows=tuple(dict.fromkeys(cell.row for cell in cells)),
        columns=tuple(sorted({cell.column for cell in cells}, key=lambda column: (order_of_columns[column], column))),
        cells=cells,
        tested=tested,
        runs=tuple(used),
        notes=notes(used, {place: len(seeds) for place, seeds in values.items()}),
    )


def _cell(
    row: str,
    column: str,
    seeds: dict[int, Run],
    values: dict[int, float],
    metric: Metric,
    clips: int,
    best: float,
    adjusted: Mapping[tuple[str, str], float | None],
) -> Cell:
    runs = [seeds[seed] for seed in values]
    mean = statistics.mean(values.values())
    interval = None
    if len(values) > 1:
        interval = inference.over_seeds(list(values.values()))
    elif metric.name == "test-accuracy":
        interval = inference.over_clips(round(mean * clips), clips)
    p = adjusted.get((row, column))
    return Cell(
        row=row,
        column=column,
        arch=runs[0].recipe.arch,
        opt=runs[0].recipe.opt,
        parameters=runs[0].parameters,
        n=len(values),
        mean=mean,
        std=statistics.stdev(values.values()) if len(values) > 1 else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        interval_over=interval.over if interval else None,
        best=mean == best,
        tie=(row, column) in adjusted and (p is None or p > ALPHA),
        p=p,
        seeds=tuple(values),
        runs=tuple(run.id for run in runs),
        values=tuple(values.values()),
        commits=tuple(sorted({commit for run in runs if (commit := run.environment.git_commit)})),
    )


def _against(
    registry: RegistryReader,
    by_cell: Mapping[tuple[str, str], Mapping[int, Run]],
    best: tuple[str, str],
    others: list[tuple[str, str]],
    labels: bytes,
) -> dict[tuple[str, str], float | None]:
    """Holm's p of every other cell against the best; None where they have no seed in common."""
    answers = {place: answers_of(registry, by_cell[place].values()) for place in (best, *others)}
    compared = {place: inference.paired(answers[best], answers[place], labels) for place in others}
    tested = [place for place in others if compared[place] is not None]
    corrected = inference.holm([pair.p for place in tested if (pair := compared[place])])
    return dict.fromkeys(others, None) | dict(zip(tested, corrected, strict=True))


def answers_of(registry: RegistryReader, runs: Iterable[Run]) -> dict[int, bytes]:
    """The answers of each run on its own test split, by seed."""
    return {
        run.recipe.seed: evaluation.predictions
        for run in runs
        for card, evaluation in registry.evaluations(run.id)
        if card.fingerprint == run.data_fingerprint and evaluation.split == TEST
    }
