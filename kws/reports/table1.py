"""Table 1: test accuracy, a row a network and a column an optimizer, from the registry's finished runs.

Decisions:
- What must be equal for numbers to stand side by side makes the table: the data set's fingerprint, the epochs and which
  of them is taken, the minibatch and the precision. Runs that differ there never share a table.
- What is compared makes rows and columns. A network with a softmax or with other feature maps is a row of its own, an
  optimizer with other hyperparameters a column of its own, so that no cell mixes recipes.
- A cell folds the seeds of one recipe. A seed counts once, by its latest finished run: training it again is no new
  evidence.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kws import architectures, optimizers
from kws.data_card import TEST, DataCard
from kws.recipe import FINAL, Recipe
from kws.registry.runs import FINISHED, Run


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network with one optimizer: the mean test accuracy over n seeds, as a fraction."""

    row: str
    column: str
    arch: str
    opt: str
    parameters: int
    n: int
    mean: float
    std: float | None  # sample standard deviation over the seeds; None for one seed
    best: bool
    runs: tuple[str, ...]  # in the order of their seeds


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of one data set, number of epochs and minibatch; a cell is missing where nothing was run."""

    data: str
    data_fingerprint: str
    test_clips: int
    epochs: int
    batch_size: int
    precision: str
    selection: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def caption(self) -> str:
        """What the numbers are, in a sentence."""
        precision = "" if self.precision == Recipe.precision else f" and {self.precision}"
        epochs = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        when = f"after {epochs}" if self.selection == FINAL else f"after the best on the validation split of {epochs}"
        return (
            f"Test accuracy {when} "
            f"in minibatches of {self.batch_size:,}{precision}, on {self.test_clips:,} test clips of {self.data} "
            f"(fingerprint {self.data_fingerprint[:12]})."
        )

    def cell(self, row: str, column: str) -> Cell | None:
        """The cell in that row and column, if anything was run for it."""
        return next((cell for cell in self.cells if (cell.row, cell.column) == (row, column)), None)


def tables(runs: Iterable[Run], card: Callable[[str], DataCard]) -> list[Table]:
    """The tables of these runs, ordered by data set and epochs; `card` gives a fingerprint's data card."""
    groups: dict[tuple[str, str, int, int, str, str], list[Run]] = {}
    for run in runs:
        if run.status == FINISHED and run.test_accuracy is not None:
            recipe = run.recipe
            equal = (recipe.epochs, recipe.batch_size, recipe.precision, recipe.selection)
            groups.setdefault((run.data_source, run.data_fingerprint, *equal), []).append(run)
    return [_table(group, len(card(key[1]).labels[TEST])) for key, group in sorted(groups.items())]


def _table(runs: list[Run], test_clips: int) -> Table:
    by_cell: dict[tuple[str, str], dict[int, Run]] = {}
    order_of_rows, order_of_columns = {}, {}
    for run in runs:  # the oldest first, so that a seed's latest run stays
        row, column = _row(run), _column(run)
        by_cell.setdefault((row, column), {})[run.recipe.seed] = run
        order_of_rows[row] = (_place(run.recipe.arch, architectures.names()), run.recipe.softmax, -run.parameters)
        order_of_columns[column] = (_place(run.recipe.opt, optimizers.names()), column)
    means = {
        place: statistics.mean(run.test_accuracy or 0.0 for run in seeds.values()) for place, seeds in by_cell.items()
    }
    rows = tuple(sorted(order_of_rows, key=lambda row: (order_of_rows[row], row)))
    columns = tuple(sorted(order_of_columns, key=lambda column: order_of_columns[column]))
    first = runs[0]
    return Table(
        data=first.data_source,
        data_fingerprint=first.data_fingerprint,
        test_clips=test_clips,
        epochs=first.recipe.epochs,
        batch_size=first.recipe.batch_size,
        precision=first.recipe.precision,
        selection=first.recipe.selection,
        rows=rows,
        columns=columns,
        cells=tuple(
            _cell(row, column, by_cell[row, column], means[row, column] == max(means.values()))
            for row in rows
            for column in columns
            if (row, column) in by_cell
        ),
    )


def _cell(row: str, column: str, seeds: dict[int, Run], best: bool) -> Cell:
    runs = [seeds[seed] for seed in sorted(seeds)]
    accuracies = [run.test_accuracy or 0.0 for run in runs]
    return Cell(
        row=row,
        column=column,
        arch=runs[0].recipe.arch,
        opt=runs[0].recipe.opt,
        parameters=runs[0].parameters,
        n=len(runs),
        mean=statistics.mean(accuracies),
        std=statistics.stdev(accuracies) if len(runs) > 1 else None,
        best=best,
        runs=tuple(run.id for run in runs),
    )


def _row(run: Run) -> str:
    """The report's wording, "Fully-connected (567171 params)", with what is not the report's network said."""
    about = [architectures.title(run.recipe.arch)]
    if run.recipe.maps:
        about.append(f"{' and '.join(map(str, run.recipe.maps))} maps")
    if run.recipe.softmax:
        about.append("softmax before cross-entropy")
    return f"{', '.join(about)} ({run.parameters} params)"


def _column(run: Run) -> str:
    """The optimizer's title, with the hyperparameters that are not its defaults."""
    name = run.recipe.opt
    defaults = optimizers.defaults(name) if name in optimizers.names() else {}
    given = run.recipe.hyperparameters()
    other = [
        f"{field.replace('_', ' ')} {_plain(given[field])}" for field in given if given[field] != defaults.get(field)
    ]
    return f"{optimizers.title(name)} ({', '.join(other)})" if other else optimizers.title(name)


def _plain(value: float) -> str:
    """The shortest text that is this number and no other, so that no two columns have one title."""
    return repr(value).removesuffix(".0")


def _place(name: str, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else len(names)
