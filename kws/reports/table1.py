"""Table 1: a metric, with networks as rows and optimizers as columns (or any other fields), from finished runs.

Decisions:
- A table is defined by what must be equal for numbers to be comparable: the data set's fingerprint, the epochs and
  which of them is selected, the minibatch and the precision, except for what rows or columns are made of. Runs that
  differ there never share a table, and data sets never do.
- What is compared makes rows and columns. What else differs between recipes is stated in the row or the column, so that
  no cell mixes recipes. Two recipes are the same if their digests, apart from the seed, are the same (kws.recipe).
- A cell combines the seeds of one recipe. A seed counts once, by its latest finished run: training it again is no new
  evidence.
- Intervals and ties are those of kws.reports.estimates: over other seeds and over other speakers.
- What should be equal and is not (versions, commits, threads, the number of seeds) is a note under the table.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from kws.events import NO_WORDS, NOT_DRAWN, OTHER, TEST, TRAIN, UNKNOWN, DataCard
from kws.recipe import own_options
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports import caveats, labels, leaks
from kws.reports.cells import Cell, Clips, Place, cell_of, differences_of, mean_of, samples_of, with_interval
from kws.reports.metrics import METRICS, Metric
from kws.reports.predictions import Predictions
from kws.reports.table import Others, Table

if TYPE_CHECKING:
    from kws.reports.ahead import ReadAhead
    from kws.reports.estimates import Estimate, Sample

CONDITIONS = tuple(each.name for each in own_options() if each.condition)


def tables(
    registry: RegistryReader,
    runs: Iterable[Run],
    *,
    rows: str = "arch",
    columns: str = "opt",
    metric: Metric = METRICS["test-accuracy"],
    test: bool = True,
    apart: Collection[str] | None = None,
    ahead: ReadAhead | None = None,
) -> list[Table]:
    """The tables of these runs, ordered by data set and conditions.

    With `apart` they are about the report's recipes: those whose cells are `apart` do not count among the recipes that
    the test split has judged; see kws.reports.scope. Answers that were read `ahead` are not read again.
    """
    equal = tuple(name for name in CONDITIONS if name not in (rows, columns))
    groups: dict[tuple[Any, ...], list[dict[int, Run]]] = {}
    of_cells: dict[tuple[Any, ...], dict[int, Run]] = {}  # runs of one place, which have one value of each condition
    alike_of = labels.place_key(rows, columns)
    for run in runs:  # once: each look at all of very many takes long
        if run.status == FINISHED and (run.test_accuracy is not None or not metric.of_test):
            alike = alike_of(run), run.data_source, run.data_fingerprint
            if (seeds := of_cells.get(alike)) is None:
                seeds = of_cells[alike] = {}
                conditions = (getattr(run.recipe, name) for name in equal)
                groups.setdefault((run.data_source, run.data_fingerprint, *conditions), []).append(seeds)
            add_seed(seeds, run)
    answers = Predictions(registry, ahead)
    made = (
        table_of(
            answers,
            group,
            metric,
            labels.titles([run for seeds in group for run in islice(seeds.values(), 1)], rows, columns),
            lambda run: (labels.order(run, rows), labels.order(run, columns)),
            conditions=dict(zip(equal, key[2:], strict=True)),
            test=test,
            apart=apart,
        )
        for key, group in sorted(groups.items(), key=lambda each: [(value is not None, value) for value in each[0]])
    )
    return [table for table in made if table.cells]


def add_seed(seeds: dict[int, Run], run: Run) -> None:
    """Add a run to those of its cell by seed; of a seed that was trained again, the latest stays."""
    known = seeds.setdefault(run.recipe.seed, run)
    if known is not run and (known.started_at, known.id) < (run.started_at, run.id):
        seeds[run.recipe.seed] = run


def equal_conditions(runs: Sequence[Run]) -> dict[str, Any]:
    """The conditions that are the same for all of these runs."""
    found = {name: {getattr(run.recipe, name) for run in runs} for name in CONDITIONS}
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}


def table_of(
    answers: Predictions,
    runs: Sequence[Mapping[int, Run]],
    metric: Metric,
    place_of: Callable[[Run], Place],
    order_of: Callable[[Run], tuple[Any, Any]],
    *,
    conditions: Mapping[str, Any],
    test: bool,
    apart: Collection[str] | None = None,
) -> Table:
    """One table of finished runs on one data set, and how a run's row and column are called and sorted.

    Each mapping holds runs of one place, by seed. Runs in one place must be of one cell.
    """
    by_cell, columns = _placed(runs, place_of, order_of)
    one = next(iter(runs[0].values()))
    answers.await_all([run for seeds in by_cell.values() for run in seeds.values()])
    values = {
        place: {seed: value for seed in sorted(seeds) if (value := metric.of(answers, seeds[seed])) is not None}
        for place, seeds in by_cell.items()
    }
    values = {place: found for place, found in values.items() if found}
    from kws.reports.estimates import told_from_best

    card = own = answers.card(one.data_fingerprint)
    if metric.clips_of and (valued := _valued(by_cell, values)):
        card = metric.clips_of(answers.registry, valued) or own
    clips, speakers = Clips.of(answers.registry, card)
    samples = {} if metric.censored else samples_of(answers, metric, by_cell, values, clips)
    means = {place: mean_of(found, metric) for place, found in values.items()}
    best = (max if metric.more_is_better else min)(means.values(), default=0.0)
    tested = test and metric.name == METRICS["test-accuracy"].name and len(values) > 1
    differences = differences_of(samples, by_cell) if tested else {}
    p_values = told_from_best(means, differences) if tested else {}
    judged = answers.registry.recipes_judged(card.split_fingerprints[TEST], apart=apart or ()) if metric.of_test else 0
    cells = []
    for place, found in values.items():
        cell = cell_of(place, by_cell[place], found, metric, means, best, p_values)
        cells.append(with_interval(cell, metric, samples.get(place), card, clips))
    used = [by_cell[place][seed] for place, found in values.items() for seed in found]
    return Table(
        metric=metric,
        data=one.data_source,
        data_fingerprint=one.data_fingerprint,
        classes=card.classes,
        test_clips=len(card.labels[TEST]),
        test_speakers=speakers,
        recipes_judged=judged,
        judged_of_report=apart is not None,
        clips_alone=_clips_alone(metric, cells, samples, len(card.labels[TEST])),
        optimism=_optimism(judged, differences.values()),
        conditions=conditions,
        rows=tuple(dict.fromkeys(cell.row for cell in cells)),
        columns=columns,
        cells=tuple(cells),
        tested=tested,
        notes=(
            *leaks.notes(answers.registry, [own.fingerprint]),
            *caveats.notes(used, {place: len(found) for place, found in values.items()}),
            *caveats.of_metric(answers.registry, metric, used),
            *caveats.left_out(metric, [run for seeds in by_cell.values() for run in seeds.values()], used),
        ),
        runs=tuple(used),
        samples=samples,
        left_out=tuple(one.recipe.leave_out or ()),
        others=_others(answers.registry, own),
    )


def _placed(
    runs: Sequence[Mapping[int, Run]], place_of: Callable[[Run], Place], order_of: Callable[[Run], tuple[Any, Any]]
) -> tuple[dict[Place, dict[int, Run]], tuple[str, ...]]:
    """The runs of each place by seed, in the order of rows and columns; and the columns in order."""
    places: dict[Place, dict[int, Run]] = {}
    orders: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    for alike in runs:
        one = next(iter(alike.values()))
        place = place_of(one)
        for names, name, order in zip(orders, place, order_of(one), strict=True):
            names[name] = min(names.get(name, order), order)
        if place not in places:
            places[place] = {**alike}
        else:
            for run in alike.values():
                add_seed(places[place], run)
    rows, columns = ([name for _, name in sorted((order, name) for name, order in names.items())] for names in orders)
    in_order = ((row, column) for row in rows for column in columns)
    return {place: places[place] for place in in_order if place in places}, tuple(columns)


def _others(registry: RegistryReader, card: DataCard) -> Others | None:
    """The words of the class of all other words; None where there is none, or what its clips say is not known."""
    label = next((label for label, name in enumerate(card.classes) if name in (OTHER, UNKNOWN)), None)
    if label is None or card.draw == NOT_DRAWN:  # the course's arrays, whose clips' words are not known
        return None
    words, elsewhere = {}, card.source.partition(" + ")[2]
    for split in (TRAIN, TEST):
        paths = registry.paths(card.fingerprint, split)
        if paths is None:
            return None
        clips = zip(paths, card.labels[split], strict=True)
        words[split] = {path.removeprefix(f"{elsewhere}/").split("/")[0] for path, of in clips if of == label}
    if words[TRAIN].union(words[TEST]).intersection(NO_WORDS):
        return None
    return Others(card.classes[label], len(words[TRAIN]), len(words[TEST] - words[TRAIN]))


def _valued(by_cell: Mapping[Place, Mapping[int, Run]], values: Mapping[Place, Mapping[int, float]]) -> Run | None:
    """A run that has a value."""
    return next((by_cell[place][seed] for place, found in values.items() for seed in found), None)


def _clips_alone(metric: Metric, cells: Iterable[Cell], samples: Mapping[Place, Sample], clips: int) -> float | None:
    """Half of the best cell's 95 % interval over test clips alone; None if no clips are known to matter."""
    sample = next((samples[cell.row, cell.column] for cell in cells if cell.best and samples), None)
    if sample is None or not (metric.of_test and metric.percent):
        return None
    from kws.reports.estimates import of_cell

    found = of_cell(sample)
    of_clusters, clusters = max(found.of_clusters - found.of_both, 0.0), found.clusters
    if sample.influences is None:  # the registry keeps how many clips were right, not which
        of_clusters, clusters = found.value * (1 - found.value) / max(clips, 1), clips
    alone = replace(
        found, n=1, clusters=clusters, of_seeds=0.0, of_clusters=of_clusters, of_both=0.0, seed_freedom=0.0, clips=clips
    )
    low, high = alone.proportion_interval()
    return (high - low) / 2


def _optimism(recipes: int, differences: Iterable[Estimate]) -> float | None:
    """How much better than it is the best of `recipes` equally good recipes is expected to look, as a fraction.

    What the table's cells share moves them all, so the error that counts is that of their differences.
    """
    from kws.reports.estimates import largest_of

    variances = [each.variance / 2 for each in differences]
    if recipes < 2 or not variances:
        return None
    return float(statistics.mean(variances) ** 0.5 * largest_of(recipes))
