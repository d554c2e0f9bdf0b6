"""What the page shows, as plain values from the registry; nothing here depends on HTML.

Decisions:
- Table 1 is that of kws.reports.table1 with its test, so the page and `kws compare` cannot differ. Where it leaves out
  runs of other recipes, a leaderboard of all follows it.
- Runs of folds are in the table over folds, as in `kws compare`: each fold, and the answers on all clips pooled. A
  table for each fold, whose test clips are a part of the data, would say less and look like more.
- Curves are per epoch. Iterations would make the page five times as large and say little that epochs do not.
- A confusion matrix is of the run's own test split. The page's script pools runs by adding their counts.
- JSON has no infinities: a loss that is not finite is null there, and a gap in its curve.
- The report's figures and its judged claims are beside each table that is about its networks under its conditions. They
  need the test, too, and come with it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kws.events import SPLITS, TEST, DataCard, Evaluation
from kws.recipe import NETWORK, OPTIMIZER, plain
from kws.registry.reader import RegistryReader
from kws.registry.runs import RUNNING, Curve, Run, described, early_stop
from kws.reports import labels
from kws.reports.classes import ClassReport
from kws.reports.comparison import beside
from kws.reports.fold_grids import fold_grids
from kws.reports.folds import Folded, FoldTable, fold_tables
from kws.reports.leaderboard import leaderboards
from kws.reports.metrics import METRICS
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
    """The page's head: tables of each data set, leaderboards, tables over folds, and the runs (oldest first)."""

    tables: tuple[Table, ...]
    runs: tuple[Run, ...]
    leaderboards: tuple[Table, ...] = ()
    folds: tuple[FoldTable, ...] = ()

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The leaderboards, then the tables over folds, as text."""
        boards = [grid for table in self.leaderboards for grid in grids(table)]
        return (*boards, *(grid for table in self.folds for grid in fold_grids(table)))

    @property
    def papers(self) -> tuple[Paper, ...]:
        """The report, beside each table that it is about."""
        return tuple(table.paper for table in self.tables if table.paper)


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Everything about one run: facts under headings, the command to train it again, its scored predictions."""

    run: Run
    card: DataCard
    facts: dict[str, Facts]
    command: str
    answers: tuple[tuple[DataCard, Evaluation, ClassReport], ...]


def overview(registry: RegistryReader, runs: Iterable[Run], *, test: bool = True, chosen: bool = False) -> Overview:
    """The overview of these runs; without `test`, Table 1 does not state which cells differ from the best.

    If the runs were `chosen`, Table 1 is about all of them, as in `kws compare`.
    """
    every = tuple(runs)
    whole = tuple(run for run in every if run.recipe.fold is None)
    of = Scope(runs=whole) if chosen else of_the_report(registry, whole)
    found = tables(registry, of.runs, test=test, apart=of.apart)
    boards = leaderboards(registry, whole, test=test) if of.others else []
    if test:
        found = [dataclasses.replace(table, paper=beside(registry, table)) for table in found]
    folds = tuple(fold_tables(registry, every))
    return Overview(tables=tuple(found), runs=every, leaderboards=tuple(boards), folds=folds)


def listed(runs: Iterable[Run], words: str = "", most: int | None = None) -> tuple[Run, ...]:
    """The runs whose line in the list contains all these words, newest first; at most `most` of them."""
    wanted = words.casefold().split()
    newest_first = reversed(tuple(runs))
    found = (run for run in newest_first if all(word in _line(run) for word in wanted)) if wanted else newest_first
    return tuple(islice(found, most))


def _line(run: Run) -> str:
    about = (
        run.id,
        run.status,
        run.recipe.arch,
        run.recipe.opt,
        str(run.recipe.seed),
        labels.data_of(run),
        run.started_at,
    )
    return " ".join([*about, run.name or "", *run.tags]).casefold()


def called(run: Run) -> str:
    """The label of a run in a legend."""
    about = [NETWORK.title(run.recipe.arch), OPTIMIZER.title(run.recipe.opt), f"seed {run.recipe.seed}"]
    return f"{', '.join(about + ([run.name] if run.name else []))} [{run.id}]"


def choices(of: Overview) -> dict[str, Any]:
    """The values for the page's script: the runs of each cell, and the runs whose curves are drawn at first.

    Those are the runs in training, then the first run of each cell. The runs of all folds are one cell, whose confusion
    matrix is that of all clips.
    """
    named = [(f"{cell.row}, {cell.column}", cell) for table in of.tables for cell in table.cells]
    known = {cell.runs for _, cell in named}
    named += [(cell.row, cell) for table in of.leaderboards for cell in table.cells if cell.runs not in known]
    cells = [{"label": f"{name}: {_pooled(cell.seeds)}", "runs": list(cell.runs)} for name, cell in named]
    cells += [
        {"label": f"{each.name}: {_folds(each, table.count)}", "runs": _runs(each)}
        for table in of.folds
        for each in table.recipes
    ]
    training = [run.id for run in reversed(of.runs) if run.status == RUNNING]
    drawn = dict.fromkeys([*training, *(cell["runs"][0] for cell in cells)])
    return {"cells": cells, "drawn": list(drawn)[:DRAWN]}


def _folds(of: Folded, count: int) -> str:
    return f"{count} folds pooled" if of.together else f"{len(of.folds)} of {count} folds pooled"


def _runs(of: Folded) -> list[str]:
    """The runs of all folds of those seeds that have every fold, or else of the folds that there are."""
    tested = (of.together,) if of.together else of.folds.values()
    return [run.id for each in tested for run in each.runs]


def _pooled(seeds: tuple[int, ...]) -> str:
    return f"{len(seeds)} seeds pooled" if len(seeds) > 1 else f"seed {seeds[0]}"


def curves(registry: RegistryReader, run: Run) -> dict[str, Any]:
    """A run's curves, one value per epoch: accuracies as fractions, losses in nats, None for what is not finite."""
    epochs = registry.epochs(run.id, iterations=False)
    values = {name: [_finite(getattr(epoch, name)) for epoch in epochs] for name in _CURVES}
    return {"name": called(run), "epochs": [epoch.epoch for epoch in epochs], **values}


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def confusion(registry: RegistryReader, run: Run) -> dict[str, Any] | None:
    """A run's confusion matrix on its own test split, one row per true class; None before it was tested."""
    for card, evaluation in registry.evaluations(run.id):
        if card.fingerprint == run.data_fingerprint and evaluation.split == TEST:
            counts = ClassReport.of(evaluation, card.classes).confusion
            return {"name": called(run), "classes": list(card.classes), "counts": [list(row) for row in counts]}
    return None


def detail(registry: RegistryReader, run: Run) -> Detail:
    """Everything about one run."""
    card = registry.card(run.data_fingerprint)
    answers = tuple((on, each, ClassReport.of(each, on.classes)) for on, each in registry.evaluations(run.id))
    return Detail(
        run=run,
        card=card,
        facts=_facts(run, card, registry.curve(run.id)),
        command=labels.command(run.recipe),
        answers=answers,
    )


def _facts(run: Run, card: DataCard, curve: Curve) -> dict[str, Facts]:
    about = {
        "status": described(run) + (f": {run.error}" if run.error else ""),
        "name": run.name,
        "note": run.note,
        "tags": ", ".join(run.tags) or None,
        "the recipe of": run.rerun_of,
        "started": run.started_at,
        "ended": run.ended_at,
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
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(card.classes, card.counts[split], strict=True))
        data[f"{split} clips"] = counts
    data |= {_words(name): plain(value) for name, value in card.front_end.items()}
    return {
        "Run": _given(about),
        "Recipe": _given(run.recipe.values),
        "Data": _given(data),
        "Environment": _given(dataclasses.asdict(run.environment)),
    }


def _given(facts: dict[str, Any]) -> Facts:
    return [(_words(name), _said(value)) for name, value in facts.items() if value is not None]


def _said(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else plain(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
