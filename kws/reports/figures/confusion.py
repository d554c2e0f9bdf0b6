"""Draws the confusion matrix of one run on its own test split, or the sum over several seeds of one recipe.

Rows are true classes, columns predicted classes. A cell states its number of clips and their share of the row; the
larger the share, the darker the cell. With more classes, the figure is higher and a cell states its number of clips
alone, if there are any. If there are too many classes to read that, a colour bar explains the shades.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kws.errors import RegistryError
from kws.events import TEST, Evaluation
from kws.recipe.presets import name_of
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups, labels
from kws.reports.cells import Cell
from kws.reports.classes import ClassReport
from kws.reports.drawing import Style, explain, panels, plain
from kws.reports.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MANY = False
_READABLE = 0.75  # of the style's smaller letters: the smallest that are drawn in a paper
_AROUND = 1.2  # inches of the figure's width for the names of classes
_WIDE = 0.62  # heights of a letter that it is wide


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The matrix (K, K) of these runs' predictions on their own test split; counts, and percent of each row.

    Raises RegistryError if the runs differ in more than their seeds, or if one has no predictions.
    """
    table, cell = groups.same_recipe(registry, runs)
    classes = registry.card(table.data_fingerprint).classes
    reports = [ClassReport.of(_answers(registry, run), classes) for run in runs if run.id in cell.runs]
    counts = np.array([report.confusion for report in reports]).sum(axis=0)
    k = len(classes)
    readable = style.small * (1 if style.titled else _READABLE)
    both = "100.0 %", f"{counts.max():,}"  # the longest texts
    height = style.alone
    room = 72 * min(height - 0.8, style.width - _AROUND) / k  # width of a cell in points
    if _letters(room, both) < readable:
        height = style.width - _AROUND + 0.8
        room = 72 * (style.width - _AROUND) / k
    shares = _letters(room, both) >= readable
    letters = min(style.points, _letters(room, both if shares else both[1:]))
    drawing, (axes,) = panels(style, 1, height=height)
    clips = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, clips, out=np.full(counts.shape, np.nan), where=clips > 0)
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    side = max(min(style.points, 0.8 * room), readable)
    named = range(0, k, math.ceil(side / room))  # with very many classes, only some
    names = [plain(classes[i]) for i in named]
    names = [name if len(name) <= 16 else f"{name[:13]}..." for name in names]
    upright = max(map(len, names)) * _WIDE * side > 0.9 * room * named.step
    axes.set_xticks(named, names, rotation=90 if upright else 0, fontsize=side)
    axes.set_yticks(named, names, fontsize=side)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.spines[:].set_visible(False)
    if letters >= readable:
        _write(axes, counts, percent, letters, shares=shares)
    else:
        drawing.colorbar(image, ax=axes, label="of the row (%)", shrink=0.8)
    explain(drawing, style, _about(table, cell, counts, runs))
    return drawing


def _letters(room: float, texts: Sequence[str]) -> float:
    """The size in points of letters with which these texts fit into a cell of so many points, one below another."""
    return min(0.9 * room / (_WIDE * max(map(len, texts))), room / (1.5 * len(texts)))


def _write(
    axes: Axes, counts: NDArray[np.int64], percent: NDArray[np.float64], letters: float, *, shares: bool
) -> None:
    """Write each cell's count and, with `shares`, below it its share of the row; a row without clips has no shares."""
    for (i, j), count in np.ndenumerate(counts):
        share = percent[i, j]
        text = f"{count:,}" if np.isnan(share) or not shares else f"{count:,}\n{share:.1f} %"
        if shares or count:
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
    preset = name_of(runs[0].recipe)
    what = f"{preset} ({labels.of_parts(runs[0].recipe)})" if preset else f"{cell.row}, {cell.column}"
    return (
        f"{what}, on {groups.conditions(table)}: {which}, {counts.sum():,} answers, "
        f"{right:.2f} % right{f' [run {runs[0].id}]' if cell.n == 1 else ''}"
    )
