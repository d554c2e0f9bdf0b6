"""Draws the confusion matrix of one run on its own test split, or the sum over several seeds of one recipe.

Rows are true classes, columns predicted classes. A cell states its number of clips and their share of the row; the
larger the share, the darker the cell. If there are too many classes to read that, a colour bar explains the shades.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from kws.errors import RegistryError
from kws.events import TEST, Evaluation
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups
from kws.reports.cells import Cell
from kws.reports.classes import ClassReport
from kws.reports.drawing import Style, explain, panels, plain
from kws.reports.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MANY = False
_READABLE = 4.5  # points of the smallest text that is drawn


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The matrix (K, K) of these runs' predictions on their own test split; counts, and percent of each row.

    Raises RegistryError if the runs differ in more than their seeds, or if one has no predictions.
    """
    table, cell = groups.same_recipe(registry, runs)
    classes = registry.card(table.data_fingerprint).classes
    reports = [ClassReport.of(_answers(registry, run), classes) for run in runs if run.id in cell.runs]
    counts = np.array([report.confusion for report in reports]).sum(axis=0)
    drawing, (axes,) = panels(style, 1)
    clips = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, clips, out=np.full(counts.shape, np.nan), where=clips > 0)
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    k = len(classes)
    room = 72 * 0.62 * min(style.alone) / k  # width of a cell in points
    letters = min(style.points, room / 3.8)
    side = min(style.points, max(0.8 * room, _READABLE))
    named = range(0, k, math.ceil(side / room))  # with very many classes, only some
    names = [plain(classes[i]) for i in named]
    names = [name if len(name) <= 16 else f"{name[:13]}..." for name in names]
    upright = len(names) * max(map(len, names)) > 8 * style.alone[0]
    axes.set_xticks(named, names, rotation=90 if upright else 0, fontsize=side)
    axes.set_yticks(named, names, fontsize=side)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    if letters >= _READABLE:
        _write(axes, counts, percent, letters)
    else:
        drawing.colorbar(image, ax=axes, label="of the row (%)", shrink=0.8)
    explain(drawing, style, _about(table, cell, counts, runs))
    return drawing


def _write(axes: Axes, counts: NDArray[np.int64], percent: NDArray[np.float64], letters: float) -> None:
    """Write each cell's count and, below it, its share of the row; a row without clips has no shares."""
    for (i, j), count in np.ndenumerate(counts):
        share = percent[i, j]
        text = f"{count:,}" if np.isnan(share) else f"{count:,}\n{share:.1f} %"
        axes.text(j, i, text, ha="center", va="center", fontsize=letters, color="white" if share > 55 else "black")


def _answers(registry: RegistryReader, run: Run) -> Evaluation:
    for card, evaluation in registry.evaluations(run.id):
        if card.fingerprint == run.data_fingerprint and evaluation.split == TEST:
            return evaluation
    raise RegistryError(f"run {run.id} has no answers on its own test split; `kws eval {run.id}` adds them")


def _about(table: Table, cell: Cell, counts: NDArray[np.int64], runs: list[Run]) -> str:
    """Network, optimizer, data, accuracy, seeds, and the run if there is only one."""
    right = 100 * counts.trace() / max(counts.sum(), 1)
    seeds = ", ".join(map(str, cell.seeds))
    which = f"seed {seeds}" if cell.n == 1 else f"sum over {cell.n} seeds ({seeds})"
    return (
        f"{cell.row}, {cell.column}, on {groups.conditions(table)}: {which}, {counts.sum():,} answers, "
        f"{right:.2f} % right{f' [run {runs[0].id}]' if cell.n == 1 else ''}"
    )
