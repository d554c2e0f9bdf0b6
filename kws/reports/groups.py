"""Decides which runs may share a figure: those of one table of kws.reports.table1, so data and conditions never mix.

Decisions:
- A figure of whole recipes, as accuracy against size, may show those of a leaderboard: on the same data, each under its
  own conditions.
- If runs make several tables, the one with the most runs is drawn, and the figure states how many of the runs these
  are. If two have as many, the choice is ambiguous, and the user is asked.
- A seed counts once, by its latest finished run, as in the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import RegistryError
from kws.recipe import FINAL, Recipe
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports.cells import Cell
from kws.reports.leaderboard import leaderboards
from kws.reports.metrics import METRICS
from kws.reports.table import Table
from kws.reports.table1 import tables

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


def taken(registry: RegistryReader, runs: Iterable[Run], *, of_all_recipes: bool = False) -> Group:
    """The largest group of finished runs that may share a figure.

    With `of_all_recipes` runs under different conditions may: if they would make several tables, those of each data set
    are one group. Raises RegistryError if there is none, or if two are equally large.
    """
    finished = [run for run in runs if run.status == FINISHED]
    found = sorted(tables(registry, finished, test=False), key=_size, reverse=True)
    if of_all_recipes and len(found) > 1:
        found = sorted(leaderboards(registry, finished, test=False), key=_size, reverse=True)
    if not found and finished:
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
    """The validation accuracy of each of a cell's n runs after each of their E epochs (n, E), as fractions.

    Raises RegistryError if a run has fewer epochs than another, or an accuracy outside [0, 1].
    """
    import numpy as np

    curves = [[epoch.validation_accuracy for epoch in registry.epochs(run_id)] for run_id in cell.runs]
    wanted = max(map(len, curves))
    for run_id, curve in zip(cell.runs, curves, strict=True):
        if len(curve) != wanted or not curve:
            raise RegistryError(
                f"run {run_id} has {len(curve)} epochs in {registry.path} where it should have {wanted or 1}; "
                "`kws db doctor` says what is missing"
            )
        _require_fractions(registry, run_id, curve)
    return np.array(curves)


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
    """The data and the conditions equal for all cells, as in "clips (f8505d67), 50 epochs in minibatches of 1,024"."""
    conditions = table.conditions
    about = [f"{table.data} ({table.data_fingerprint[:8]})"]
    if not conditions:  # each recipe has its own
        return about[0]
    about.append(f"{conditions['epochs']} epoch{'' if conditions['epochs'] == 1 else 's'}")
    text = f"{', '.join(about)} in minibatches of {conditions['batch_size']:,}"
    if conditions["precision"] != Recipe.precision:
        text += f" in {conditions['precision']}"
    return text if conditions["selection"] == FINAL else f"{text}, the best on the validation split"
