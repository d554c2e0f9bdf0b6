"""Decides which runs may share a figure: those of one table of kws.reports.table1, so data and conditions never mix.

Decisions:
- A figure of whole recipes, as accuracy against size, may show those of a leaderboard: on the same data, each under its
  own conditions.
- If runs make several tables, the one with the most runs is drawn, and the figure states how many of the runs these
  are. If two have as many, the choice is ambiguous, and the user is asked.
- A seed counts once, by its latest finished run, as in the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import RegistryError
from kws.recipe import FINAL, Recipe, has_rule
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Curve, Run
from kws.reports.cells import Cell
from kws.reports.leaderboard import leaderboards
from kws.reports.metrics import METRICS, Metric
from kws.reports.table import Table, classes_text, epochs_text
from kws.reports.table1 import CONDITIONS, tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Group:
    """The cells that a figure shows, the runs in them by id, and how many finished runs there were to choose from."""

    table: Table
    runs: Mapping[str, Run]
    finished: int

    @property
    def about(self) -> str:
        """Data, conditions, seeds per cell, and how many of the runs these are."""
        seeds = sorted({cell.n for cell in self.table.cells})
        n = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        left_out = "" if len(self.runs) == self.finished else f", {len(self.runs)} of {self.finished} runs"
        return f"{conditions(self.table)}, {n} seed{'' if seeds[-1] == 1 else 's'} each{left_out}"


def taken(
    registry: RegistryReader, runs: Iterable[Run], *, metric: Metric = METRICS["test-accuracy"], whole: bool = False
) -> Group:
    """The largest group of finished runs that may share a figure; with `whole`, of all recipes on the same data.


    Raises RegistryError if there is none, or if two are equally large.
    """
    finished = [run for run in runs if run.status == FINISHED]
    make = leaderboards if whole else tables
    found = sorted(make(registry, finished, metric=metric, test=False), key=_size, reverse=True)
    if not found and finished and metric.of_test:
        raise RegistryError(f"no run for this figure is tested; `kws test {finished[-1].id}` tests one of them")
    if not found:
        raise RegistryError(
            f"{registry.path} has no finished runs for this figure; `kws runs list` shows what it has, "
            "and `kws train --arch cnn --opt adam` makes one"
        )
    if len(found) > 1 and _size(found[0]) == _size(found[1]):
        raise RegistryError(
            f"these runs are not alike enough for one figure, and as many are on {conditions(found[0])} as on "
            f'{conditions(found[1])}; choose with --data or --where, as in --where "epochs = 50", or name the runs'
        )
    used = {run_id for cell in found[0].cells for run_id in cell.runs}
    return Group(table=found[0], runs={run.id: run for run in finished if run.id in used}, finished=len(finished))


def differ_in_conditions(runs: Iterable[Run]) -> bool:
    """Whether the finished and tested runs among these differ in what no table mixes, their data aside."""
    tested = [run.recipe for run in runs if run.status == FINISHED and not run.awaits_test]
    return any(len({getattr(recipe, name) for recipe in tested}) > 1 for name in CONDITIONS)


def same_recipe(registry: RegistryReader, runs: list[Run]) -> tuple[Table, Cell]:
    """The table and the one cell of runs that differ only in their seeds.

    Raises RegistryError if they differ in more, or if one did not finish.
    """
    for run in runs:
        require_finished(run)
    found = [
        (table, cell)
        for table in tables(registry, runs, metric=METRICS["parameters"], test=False)
        for cell in table.cells
    ]
    if len(found) != 1:
        shown = "; ".join(f"{cell.row}, {cell.column}, {conditions(table)}" for table, cell in found[:2])
        raise RegistryError(
            f"the answers of runs of different recipes are never added up ({shown}); "
            "name runs that differ in their seeds only, which `kws runs list` shows"
        )
    return found[0]


def require_finished(run: Run) -> None:
    """Raise RegistryError if a run did not finish, and so was never tested, or is still to be tested."""
    if run.awaits_test:
        raise RegistryError(f"run {run.id} is not tested, so it has no answers to draw; `kws test {run.id}` tests it")
    if run.status != FINISHED or run.test_accuracy is None:
        raise RegistryError(
            f"run {run.id} ({run.status}) has no answers on its test split; `kws runs show {run.id}` says more"
        )


def validation_accuracies(registry: RegistryReader, cell: Cell) -> NDArray[np.float64]:
    """The validation accuracy of each of a cell's n runs after each of at most E epochs (n, E), as fractions.

    It is nan after the epoch in which a run's own rule ended it. Raises RegistryError if a run has fewer epochs than
    another without such a rule, or an accuracy outside [0, 1].
    """
    import numpy as np

    curves = [registry.validation_accuracies(run_id) for run_id in cell.runs]
    wanted = max(map(len, curves))
    may_end = has_rule(registry.by_id(cell.runs[0]).recipe)
    for run_id, curve in zip(cell.runs, curves, strict=True):
        if not curve or (len(curve) != wanted and not may_end):
            raise RegistryError(
                f"run {run_id} has {len(curve)} epochs in {registry.path} where it should have {wanted or 1}; "
                "`kws db doctor` says what is missing"
            )
        _require_fractions(registry, run_id, curve)
    return np.array([curve + [math.nan] * (wanted - len(curve)) for curve in curves])


def curve(registry: RegistryReader, run_id: str) -> Curve:
    """A run's validation accuracies over time. Raises RegistryError if it has no epochs, or what cannot be one."""
    found = registry.curve(run_id)
    if not found.seconds:
        raise RegistryError(f"run {run_id} has no epochs in {registry.path}; `kws db doctor` says what is missing")
    _require_fractions(registry, run_id, found.validation_accuracies)
    return found


def _require_fractions(registry: RegistryReader, run_id: str, accuracies: Sequence[float]) -> None:
    """Raise RegistryError if an accuracy is outside [0, 1].

    SQLite stores any number; an impossible one would stretch a figure out of sight, or break it.
    """
    if wrong := [accuracy for accuracy in accuracies if not 0 <= accuracy <= 1]:
        raise RegistryError(
            f"{registry.path} is damaged: run {run_id} has an accuracy of {wrong[0]:g}; `kws runs delete {run_id}` "
            "leaves it out"
        )


def _size(table: Table) -> int:
    return sum(cell.n for cell in table.cells)


def conditions(table: Table) -> str:
    """The data with its classes and the conditions that are equal for all cells.

    As in "clips (yes, no, other; f8505d67), 50 epochs".
    """
    conditions = table.conditions
    classes = classes_text(table.classes, (run.recipe for run in table.runs))
    about = [f"{table.data} ({classes}; {table.data_fingerprint[:8]})"]
    about += [many] if (many := epochs_text(conditions)) else []
    text = ", ".join(about)
    if "batch_size" in conditions:
        text += f" in minibatches of {conditions['batch_size']:,}"
    if conditions.get("precision", Recipe.precision) != Recipe.precision:
        text += f" in {conditions['precision']}"
    for name, called in (("split_shares", "split"), ("fold", "fold")):
        text += f", {called} {conditions[name]}" if conditions.get(name) else ""
    best = conditions.get("selection", FINAL) != FINAL
    return f"{text}, the best on the validation split" if best else text.removesuffix(",")
