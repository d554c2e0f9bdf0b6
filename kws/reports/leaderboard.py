"""Leaderboard: a row a whole recipe, the best first, whatever its epochs, minibatch or network.

Decisions:
- Recipes on different data never share a leaderboard, as no table of kws.reports.table1 mixes data. The report's task
  comes first. All else, epochs and minibatch included, is the recipe's own and part of what is compared.
- Cells, seeds, intervals and ties are those of Table 1. With every recipe in one table, = corrects for all their pairs,
  and the caption says how many recipes the test split has judged.
- Beside the metric are the size and the price: parameters and multiply-accumulates, seconds of the clock and of the
  processor. A time that an older run does not have is left out; a mean is over all seeds or none.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kws.recipe.presets import name_of
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports import caveats, labels
from kws.reports.metrics import METRICS, Metric
from kws.reports.predictions import Predictions
from kws.reports.table import Beside, Table
from kws.reports.table1 import add_seed, equal_conditions, table_of


def leaderboards(
    registry: RegistryReader, runs: Iterable[Run], *, metric: Metric = METRICS["test-accuracy"], test: bool = True
) -> list[Table]:
    """The leaderboard of each data set of these runs; those that the metric needs a test of must be tested."""
    by_data: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        if run.status == FINISHED and (run.test_accuracy is not None or not metric.of_test):
            of = run.data_source, labels.task_of(run.recipe), run.data_fingerprint
            by_data.setdefault(of, []).append(run)
    answers = Predictions(registry)
    made = (_leaderboard(answers, of_data, metric, test=test) for _, of_data in sorted(by_data.items()))
    return [table for table in made if table.cells]


def _leaderboard(answers: Predictions, runs: Sequence[Run], metric: Metric, *, test: bool) -> Table:
    called = labels.of_cells([run.recipe for run in runs])
    by_cell: dict[str, dict[int, Run]] = {}
    for run in runs:
        add_seed(by_cell.setdefault(run.recipe.cell, {}), run)
    table = table_of(
        answers,
        [*by_cell.values()],
        metric,
        lambda run: (called(run.recipe), metric.title),
        lambda run: (run.parameters, 0),
        conditions=equal_conditions(runs),
        test=test,
    )
    cells = tuple(sorted(table.cells, key=lambda cell: -cell.mean if metric.more_is_better else cell.mean))
    by_id = {run.id: run for run in table.runs}
    took = answers.registry.processor_seconds([run for cell in cells for run in cell.runs])
    return replace(
        table,
        rows=tuple(cell.row for cell in cells),
        cells=cells,
        notes=tuple(dict.fromkeys([*table.notes, *caveats.of_times(answers.registry, table.runs)])),
        beside={cell.row: _beside([by_id[run] for run in cell.runs], took) for cell in cells},
    )


def _beside(runs: Sequence[Run], took: Mapping[str, float | None]) -> Beside:
    return Beside(
        recipe=runs[0].recipe,
        preset=name_of(runs[0].recipe),
        validation_accuracy=_mean([run.validation_accuracy for run in runs]),
        multiply_accumulates=runs[0].multiply_accumulates,
        seconds=statistics.mean(run.seconds for run in runs),
        processor_seconds=_mean([took.get(run.id) for run in runs]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if len(known) == len(values) else None
