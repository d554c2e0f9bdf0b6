"""What the page shows, as plain values from the registry; nothing here depends on HTML.

Decisions:
- Table 1 is that of kws.reports.table1 with its test, so the page and `kws compare` cannot differ. A leaderboard of all
  recipes follows where there are several, as `kws compare --leaderboard` prints it.
- Runs of folds are in the table over folds, as in `kws compare`: each fold, and the answers on all clips pooled. A
  table for each fold, whose test clips are a part of the data, would say less and look like more.
- Curves are per epoch. Iterations would make the page five times as large and say little that epochs do not.
- A confusion matrix is of the run's own test split. Runs are pooled by adding their counts. In a run's box it stands
  beside the trade-off on the same clips.
- JSON has no infinities: a loss that is not finite is null there, and a gap in its curve.
- The report's figures and its judged claims are beside each table that is about its networks under its conditions. They
  need the test, too, and come with it.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from kws.events import SPLITS, TEST, DataCard, Evaluation
from kws.recipe import plain
from kws.registry.reader import RegistryReader
from kws.registry.runs import RUNNING, Curve, Run, described, early_stop
from kws.reports import labels
from kws.reports.classes import ClassReport
from kws.reports.comparison import beside
from kws.reports.fold_grids import fold_grids
from kws.reports.folds import Folded, FoldTable, fold_tables
from kws.reports.leaderboard import leaderboards
from kws.reports.metrics import METRICS
from kws.reports.page import data_sets, detector, names
from kws.reports.page.data_sets import DataSet
from kws.reports.page.detector import Detector
from kws.reports.page.listed import Listed
from kws.reports.page.matrices import matrix
from kws.reports.reference import Paper
from kws.reports.scope import Scope, of_the_report
from kws.reports.table import Table
from kws.reports.table1 import tables
from kws.reports.text_tables import Grid, grids

DRAWN = 7  # curves drawn at first: as many as there are colours
_PERCENT = METRICS["test-accuracy"].text
_SECONDS = METRICS["seconds"].text
_CURVES = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
Facts = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The page's head: tables of each data set, leaderboards, tables over folds, and the runs (oldest first).

    `data_sets` are those of the finished runs, by fingerprint. Of a large registry the live page shows what it has:
    `runs` may be the newest alone of `total`, and `awaited` runs are in no table yet, but being put there.
    """

    tables: tuple[Table, ...]
    runs: tuple[Run, ...]
    total: int
    awaited: int = 0
    leaderboards: tuple[Table, ...] = ()
    folds: tuple[FoldTable, ...] = ()
    data_sets: Mapping[str, DataSet] = field(default_factory=dict)

    @cached_property
    def recipe_of(self) -> names.Namer:
        """What a run's recipe is called; see kws.reports.page.names."""
        return names.recipes(self.runs)

    @cached_property
    def by_id(self) -> dict[str, Run]:
        """The runs by id."""
        return {run.id: run for run in self.runs}

    @cached_property
    def running(self) -> tuple[Run, ...]:
        """The runs that are training."""
        return tuple(run for run in self.runs if run.status == RUNNING)

    @cached_property
    def untested(self) -> tuple[Run, ...]:
        """The finished runs that are not tested."""
        return tuple(run for run in self.runs if run.awaits_test)

    @cached_property
    def firsts(self) -> frozenset[str]:
        """The id of the first tested run of each recipe."""
        tested = (run for run in reversed(self.runs) if run.test_accuracy is not None)
        return frozenset({self.recipe_of(run): run.id for run in tested}.values())

    def called(self, run: Run) -> str:
        """The label of one of the runs in a legend."""
        return names.called(run, self.recipe_of(run))

    def listed(self, words: str = "", most: int | None = None, start: int = 0) -> Listed:
        """The runs whose line in the list contains all these words, newest first: at most `most`, from `start` on."""
        wanted = words.casefold().split()
        runs, count = reversed(self.runs), self.total

        def is_in(line: str) -> bool:
            return all(word in line for word in wanted)

        if wanted:
            found = [run for run in runs if is_in(self._line(run))]
            runs, count = iter(found), len(found)
        end = None if most is None else start + most
        return Listed(runs=tuple(islice(runs, start, end)), words=words, start=start, count=count, total=self.total)

    def _line(self, run: Run) -> str:
        """What the list says of a run, in small letters; what it says of the run's cell is put together once."""
        cell = run.recipe.cell, run.data_source, run.data_fingerprint
        if cell not in self._of_cells:
            about = run.recipe.arch, run.recipe.opt, labels.data_of(run), self.recipe_of(run)
            self._of_cells[cell] = " ".join(about).casefold()
        own = " ".join((run.id, run.status, str(run.recipe.seed), run.started_at, run.name or "", *run.tags))
        return f"{own.casefold()} {self._of_cells[cell]}"

    @cached_property
    def _of_cells(self) -> dict[tuple[str, str, str], str]:
        return {}

    @cached_property
    def boards(self) -> tuple[Grid, ...]:
        """The leaderboards as text; their titles tell data of one name apart, by what the runs are called."""
        titles = [f"Leaderboard on {labels.data_of(table.runs[0])}" for table in self.leaderboards]
        alike = Counter(titles)
        return tuple(
            dataclasses.replace(
                grid, title=title if alike[title] == 1 else f"{title}, fingerprint {table.data_fingerprint[:12]}"
            )
            for table, title in zip(self.leaderboards, titles, strict=True)
            for grid in grids(table)
        )

    @cached_property
    def fold_grids(self) -> tuple[Grid, ...]:
        """The tables over folds as text."""
        return tuple(grid for table in self.folds for grid in fold_grids(table))

    @property
    def papers(self) -> tuple[Paper, ...]:
        """The report, beside each table that it is about."""
        return tuple(table.paper for table in self.tables if table.paper)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A run's answers on one split of a data set, and the detector that they show."""

    card: DataCard
    evaluation: Evaluation
    report: ClassReport
    detector: Detector | None


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Everything about one run: facts under headings, the command to train it again, its scored predictions.

    `warnings` are sentences about its data and its code.
    """

    run: Run
    recipe: str  # what its recipe is called
    card: DataCard
    facts: dict[str, Facts]
    command: str
    answers: tuple[Answers, ...]
    warnings: tuple[str, ...]
    leaves_detector_out: bool = False

    @property
    def confusion(self) -> dict[str, Any] | None:
        """The confusion matrix on its own test split; None before it was tested."""
        for each in self.answers:
            if each.card.fingerprint == self.run.data_fingerprint and each.evaluation.split == TEST:
                return matrix(each.card, each.report)
        return None


def overview(registry: RegistryReader, runs: Iterable[Run], *, test: bool = True, chosen: bool = False) -> Overview:
    """The overview of these runs; without `test`, Table 1 does not state which cells differ from the best.

    If the runs were `chosen`, Table 1 is about all of them, as in `kws compare`.
    """
    return with_leaderboards(registry, of_tables(registry, runs, test=test, chosen=chosen), test=test, chosen=chosen)


def of_tables(registry: RegistryReader, runs: Iterable[Run], *, test: bool = True, chosen: bool = False) -> Overview:
    """The same without leaderboards, which take as long as all else."""
    every = tuple(runs)
    of = _scope(registry, every, chosen=chosen)
    found = tables(registry, of.runs, test=test, apart=of.apart)
    if test:
        found = [dataclasses.replace(table, paper=beside(registry, table)) for table in found]
    return Overview(
        tables=tuple(map(_without_samples, found)),
        runs=every,
        total=len(every),
        folds=tuple(fold_tables(registry, every)),
        data_sets=data_sets.of_runs(registry, every),
    )


def with_leaderboards(registry: RegistryReader, of: Overview, *, test: bool = True, chosen: bool = False) -> Overview:
    """An overview with the leaderboards of its runs."""
    others = _scope(registry, of.runs, chosen=chosen).others
    found = leaderboards(registry, _whole(of.runs), test=test)
    boards = tuple(_without_samples(table) for table in found if others or len(table.cells) > 1)
    return dataclasses.replace(of, leaderboards=boards)


def _scope(registry: RegistryReader, runs: Iterable[Run], *, chosen: bool) -> Scope:
    whole = _whole(runs)
    return Scope(runs=whole) if chosen else of_the_report(registry, whole)


def _whole(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The runs of no fold."""
    return tuple(run for run in runs if run.recipe.fold is None)


def _without_samples(table: Table) -> Table:
    """The table without the answers that it was made of, which the page does not show: 120 MB of 100,000 runs."""
    return dataclasses.replace(table, samples={})


def choices(of: Overview) -> dict[str, Any]:
    """The values for the page's script: the runs of each cell, and the runs whose curves are drawn at first.

    Those are the runs in training, then the first run of each cell. The runs of all folds are one cell, whose confusion
    matrix is that of all clips. No two cells share a label: where tables are of several data sets, it names them.
    """
    found = [*_of_tables(of)]
    taken = Counter(name for _, name, _, _ in found)
    cells = [
        {"group": group, "label": name if taken[name] == 1 else f"{name}, {data or group}", "runs": runs}
        for group, name, data, runs in found
    ]
    training = [run.id for run in reversed(of.running)]
    drawn = dict.fromkeys([*training, *(runs[0] for *_, runs in found)])
    return {"cells": cells, "drawn": list(drawn)[:DRAWN]}


def _of_tables(of: Overview) -> Iterator[tuple[str, str, str, list[str]]]:
    """The table of each cell, its label, its data, and its runs."""
    known = set()
    for number, table in enumerate(of.tables, 1):
        for cell in table.cells:
            known.add(cell.runs)
            label = f"{cell.row}, {cell.column}: {_pooled(cell.seeds)}"
            yield f"Table {number}", label, _data_of(table), list(cell.runs)
    for table, grid in zip(of.leaderboards, of.boards, strict=True):
        for cell in table.cells:
            if cell.runs not in known:
                yield grid.title, f"{cell.row}: {_pooled(cell.seeds)}", _data_of(table), list(cell.runs)
    for folds in of.folds:
        for each in folds.recipes:
            yield f"Folds of {folds.data}", f"{each.name}: {_folds(each, folds.count)}", "", _runs(each)


def _data_of(table: Table) -> str:
    return f"on {labels.data_of(table.runs[0])} [{table.data_fingerprint[:8]}]"


def _folds(of: Folded, count: int) -> str:
    return f"{count} folds pooled" if of.together else f"{len(of.folds)} of {count} folds pooled"


def _runs(of: Folded) -> list[str]:
    """The runs of all folds of those seeds that have every fold, or else of the folds that there are."""
    tested = (of.together,) if of.together else of.folds.values()
    return [run.id for each in tested for run in each.runs]


def _pooled(seeds: tuple[int, ...]) -> str:
    return f"{len(seeds)} seeds pooled" if len(seeds) > 1 else f"seed {seeds[0]}"


def curves(registry: RegistryReader, run: Run, name: str) -> dict[str, Any]:
    """A run's curves, one value per epoch: accuracies as fractions, losses in nats, None for what is not finite."""
    epochs = registry.epochs(run.id, iterations=False)
    values = {of: [_finite(getattr(epoch, of)) for epoch in epochs] for of in _CURVES}
    return {"name": name, "epochs": [epoch.epoch for epoch in epochs], **values}


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def detail(registry: RegistryReader, run: Run, of: Overview, *, every_detector: bool = True) -> Detail:
    """Everything about one of the overview's runs.

    Without `every_detector`, the detector is left out of runs that are neither the first of their recipe nor have
    thresholds of their own: of a hundred seeds it says little, and takes most of the time.
    """
    known = of.data_sets.get(run.data_fingerprint)
    if known is None:  # of a run that has not finished
        known = data_sets.of(registry, run.data_fingerprint, labels.data_of(run))
    evaluations = registry.evaluations(run.id)
    shown = every_detector or run.id in of.firsts or detector.may_have_thresholds(run, evaluations)
    detectors = detector.by_split(registry, run, evaluations) if shown else {}
    return Detail(
        run=run,
        recipe=of.recipe_of(run),
        card=known.card,
        facts=_facts(run, known.card, registry.curve(run.id)),
        command=labels.command(run.recipe),
        answers=tuple(
            Answers(
                card=card,
                evaluation=each,
                report=ClassReport.of(each, card.classes),
                detector=detectors.get((card.fingerprint, each.split)),
            )
            for card, each in evaluations
        ),
        warnings=(*known.warnings, *_of_code(run)),
        leaves_detector_out=not shown,
    )


def _of_code(run: Run) -> tuple[str, ...]:
    if not run.environment.git_dirty:
        return ()
    return ("It was made by code that differs from its commit, so nobody else has that code.",)


def _facts(run: Run, card: DataCard, curve: Curve) -> dict[str, Facts]:
    about = {
        "status": described(run) + (f": {run.error}" if run.error else ""),
        "name": run.name,
        "note": run.note,
        "tags": ", ".join(run.tags) or None,
        "the recipe of": run.rerun_of,
        "started": time_text(run.started_at),
        "ended": None if run.ended_at is None else time_text(run.ended_at),
        "training": _SECONDS(run.seconds),
        "processor": None if (spent := curve.all_processor_seconds) is None else _SECONDS(spent),
        "epochs": f"{run.epochs_done} of {run.recipe.epochs}",
        "early stop": early_stop(run),
        "parameters": f"{run.parameters:,}",
        "validation accuracy": None if run.validation_accuracy is None else _PERCENT(run.validation_accuracy),
        "test accuracy": "not tested"
        if run.awaits_test
        else None
        if run.test_accuracy is None
        else _PERCENT(run.test_accuracy),
    }
    data = {"source": card.source, "fingerprint": card.fingerprint, "classes": ", ".join(card.classes)}
    for split in SPLITS:
        counts = ", ".join(
            f"{name}\u00a0{count:,}" for name, count in zip(card.classes, card.counts[split], strict=True)
        )
        data[f"{split} clips"] = counts
    data |= {_words(name): plain(value) for name, value in card.front_end.items()}
    return {
        "Run": _given(about),
        "Recipe": _given(run.recipe.values),
        "Data": _given(data),
        "Environment": _given(dataclasses.asdict(run.environment)),
    }


def time_text(at: str) -> str:
    """A time of the registry, which is in UTC, as a fact has it."""
    return f"{at[:19].replace('T', ' ')} UTC"


def _given(facts: dict[str, Any]) -> Facts:
    return [(_words(name), _said(value)) for name, value in facts.items() if value not in (None, ())]


def _said(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else plain(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
