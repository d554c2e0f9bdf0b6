"""What the intervals and ties of `kws compare` are worth, where the truth is known.

Tables are drawn by the thousand from a model whose accuracies and components of variance are those of the cells in the
committed registry (see benchmarks.components), each with seeds, speakers and clips of its own, and are handed to
kws.reports.estimates. The same registry gives the same figures.

- A table has 20 seeds, of which the first 1, 2, 3, 5 and all are looked at, and as many speakers as the
  registry, of sizes drawn anew from theirs; in one scenario, one has 24 clips and all others fewer.
- An interval is about the mean over all seeds and clips; a single seed's is about that run over all clips.
- A width is compared with 2 x 1.96 standard deviations of the figure over all tables: that of one who knows them.
- Equal cells, and cells 3 points apart, are the same draws with other thresholds. Six cells like the one that varies
  most by its seeds, which share seeds but no luck, are the hardest case for ties.
- A row's n is its cells or pairs of cells, each over all tables.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from benchmarks.components import Cells, Draws, Integers, Sizes, fit
from benchmarks.coverage_rows import LEVEL, ORDER, STEP, Figures, components, covered, of_seeds, power, ties
from benchmarks.measure import REPOSITORY, CellError, say
from benchmarks.moments import Moments
from benchmarks.report import Row
from benchmarks.workspace import Workspace
from kws.registry.reader import RegistryReader
from kws.reports.cells import Clips
from kws.reports.estimates import Estimate, Sample, of_difference, told_from_best
from kws.reports.predictions import Predictions
from kws.reports.table1 import tables

SEEDS = (1, 2, 3, 5, 20)
MOST, FEW = 20, 5  # the seeds of a table, and those with which a difference is looked for
TABLES, QUICK_TABLES = 10_000, 100
LARGE = 24  # clips of one speaker
UNEVEN = {
    "5 and 5, 2 of which are the same": (range(5), range(3, 8)),
    "12 and 10, 2 of which are the same": (range(12), range(10, 20)),
    "2 and 20": (range(2), range(20)),
    "1 and 5": (range(1), range(5)),
}
Pair = tuple[int, int]


def measure(workspace: Workspace) -> list[Row]:
    """The rows, from components to power."""
    cells = load(workspace)
    count = QUICK_TABLES if workspace.quick else TABLES
    say(f"coverage: {count:,} tables")
    rows = [*_as_they_are(cells, count), *_equal(cells, count)]
    say("coverage: other scenarios")
    rows += [*_with_a_large_speaker(cells, count), *_alike(cells, count)]
    return sorted(rows, key=lambda row: ORDER.index(row.what.split(",")[0]))


def load(workspace: Workspace) -> Cells:
    """The model of the committed registry's largest table; raises CellError where its test speakers are not known."""
    copy = workspace.folder / "coverage.db"  # opening an older registry would upgrade it
    shutil.copyfile(REPOSITORY / "experiments.db", copy)
    with RegistryReader(copy) as reader:
        known = [table for table in tables(reader, reader.runs()) if table.test_speakers]
        if not known:
            raise CellError("the registry does not know the test speakers of any run")
        table = max(known, key=lambda each: len(each.runs))
        clips, _ = Clips.of(reader, reader.card(table.data_fingerprint))
        answers, runs = Predictions(reader), {run.id: run for run in table.runs}
        cells = [cell for cell in table.cells if cell.n > 1]
        rights = [np.stack([answers.right(runs[run]) for run in cell.runs]) for cell in cells]  # type: ignore[misc]
        samples = [table.samples[cell.row, cell.column] for cell in cells]
        return fit(
            [f"{cell.row.rpartition(' (')[0]}, {cell.column}" for cell in cells],
            [cell.arch for cell in cells],
            samples,
            rights,
            clips.clusters,
        )


def _as_they_are(cells: Cells, count: int) -> list[Row]:
    """Cells with the registry's accuracies, and their differences."""
    draws, pairs = Draws(cells, 1, _as_registry(cells)), list(combinations(range(len(cells.names)), 2))
    alone, apart, uneven = (defaultdict(lambda: defaultdict(Figures)) for _ in range(3))
    shown = {cells.paired(*pair): pair for pair in reversed(pairs)}.values()  # the first of one network, and of two
    estimates: list[list[Estimate]] = []
    for _ in range(count):
        table = draws.table(MOST)
        samples = [table.sample(c, accuracy) for c, accuracy in enumerate(cells.accuracies)]
        of_runs = [draws.of_run(table, c, accuracy) for c, accuracy in enumerate(cells.accuracies)]
        for n in SEEDS:
            found = Moments(samples, n)
            _add(cells, found, cells.accuracies if n > 1 else of_runs, alone[n], apart[n])
        estimates.append(found.cells)
        for name, (one, other) in UNEVEN.items():
            for a, b in shown:
                sides = _some(samples[a], one), _some(samples[b], other)
                each = of_difference(*sides, paired=cells.paired(a, b))
                uneven[name][a, b].add(each, each.interval(), cells.accuracies[a] - cells.accuracies[b])
    rows = components(cells, estimates)
    for n in SEEDS:
        rows += covered(f"cells, {of_seeds(n)}", alone[n].values(), n)
        for paired in (True, False):
            mine = [apart[n][pair] for pair in pairs if cells.paired(*pair) == paired]
            rows += covered(f"differences, {of_seeds(n)}, {'paired' if paired else 'not paired'}", mine, n)
    for name, each in uneven.items():
        rows += covered(f"differences, seeds {name}", each.values(), None)
    return rows


def _equal(cells: Cells, count: int) -> list[Row]:
    """Ties among cells with one accuracy, and what is found of a difference of STEP."""
    draws, several = Draws(cells, 2, _as_registry(cells)), [n for n in SEEDS if n > 1]
    everyone, mean = range(len(cells.names)), float(cells.accuracies.mean())
    best = everyone[-1]
    dropped: dict[int, list[bool]] = {n: [] for n in several}
    by_ties, steps = [], defaultdict(Figures)
    for _ in range(count):
        table = draws.table(MOST)
        samples = [table.sample(c, mean) for c in everyone]
        for n in several:
            dropped[n].append(bool(_told(cells, Moments(samples, n))))
        ahead = [table.sample(c, mean + STEP * (c == best), range(FEW)) for c in everyone]
        told = _told(cells, Moments(ahead))
        by_ties.append([c in told for c in everyone if c != best])
        sides = Moments([table.sample(c, mean + s * STEP / 2, range(FEW)) for s in (1, -1) for c in everyone])
        for a, b in combinations(everyone, 2):
            found = sides.difference(a, len(everyone) + b, paired=cells.paired(a, b))
            steps[a, b].add(found, found.interval(), STEP)
            steps[a, b].told.append(found.value > 0 and found.p() <= LEVEL)
    rows = [ties(f"{len(everyone)} equal cells, {of_seeds(n)}", each) for n, each in dropped.items()]
    return [*rows, *power(of_seeds(FEW), cells, steps, np.array(by_ties))]


def _with_a_large_speaker(cells: Cells, count: int) -> list[Row]:
    """Cells and differences where one speaker has LARGE clips and no other has as many."""
    smaller = cells.sizes[cells.sizes < LARGE]

    def sizes(draw: np.random.Generator) -> Integers:
        return np.append(draw.choice(smaller, len(cells.sizes) - 1), LARGE)

    draws = Draws(cells, 3, sizes)
    alone, apart = (defaultdict(lambda: defaultdict(Figures)) for _ in range(2))
    for _ in range(count):
        table = draws.table(FEW)
        samples = [table.sample(c, accuracy) for c, accuracy in enumerate(cells.accuracies)]
        of_runs = [draws.of_run(table, c, accuracy) for c, accuracy in enumerate(cells.accuracies)]
        for n in (each for each in SEEDS if each <= FEW):
            _add(cells, Moments(samples, n), cells.accuracies if n > 1 else of_runs, alone[n], apart[n])
    rows = []
    for n, each in alone.items():
        where = f"{of_seeds(n)}, one speaker of {LARGE} clips"
        rows += covered(f"cells, {where}", each.values(), n)
        rows += covered(f"differences, {where}", apart[n].values(), n)
    return rows


def _alike(cells: Cells, count: int) -> list[Row]:
    """Ties among as many cells that are all like the one whose seeds vary most."""
    most = int(np.argmax(np.diag(cells.shared["seed"])))
    alike, accuracy = cells.alike(most), float(cells.accuracies[most])
    draws, dropped = Draws(alike, 4, _as_registry(cells)), {n: [] for n in SEEDS if 1 < n <= FEW}
    for _ in range(count):
        table = draws.table(FEW)
        samples = [table.sample(c, accuracy) for c in range(len(alike.names))]
        for n, each in dropped.items():
            each.append(bool(_told(alike, Moments(samples, n))))
    what = f"{len(alike.names)} cells all like {cells.names[most]}"
    return [ties(f"{what}, {of_seeds(n)}", each) for n, each in dropped.items()]


def _add(
    cells: Cells, found: Moments, truths: Sequence[float], alone: dict[int, Figures], apart: dict[Pair, Figures]
) -> None:
    """One table's cells and differences, to the figures of each."""
    for c, each in enumerate(found.cells):
        alone[c].add(each, each.proportion_interval(), truths[c])
    for (a, b), each in _differences(cells, found).items():
        apart[a, b].add(each, each.interval(), truths[a] - truths[b])


def _differences(cells: Cells, found: Moments) -> dict[Pair, Estimate]:
    """Those of every pair of cells."""
    return {
        (a, b): found.difference(a, b, paired=cells.paired(a, b)) for a, b in combinations(range(len(found.cells)), 2)
    }


def _told(cells: Cells, found: Moments) -> set[int]:
    """The cells that a table tells from the best."""
    means = {c: each.value for c, each in enumerate(found.cells)}
    return {c for c, p in told_from_best(means, _differences(cells, found)).items() if p <= LEVEL}


def _some(sample: Sample, seeds: Sequence[int]) -> Sample:
    """The same cell with some of its seeds, without gaps."""
    at = slice(seeds[0], seeds[-1] + 1)
    influences = None if sample.influences is None else sample.influences[at]
    return replace(sample, seeds=sample.seeds[at], values=sample.values[at], influences=influences)


def _as_registry(cells: Cells) -> Sizes:
    return lambda draw: draw.choice(cells.sizes, len(cells.sizes))
