"""Draws how fast runs converge: the epochs to reach a validation accuracy, over that accuracy, one line per cell.

Decisions:
- A run reaches an accuracy in the first epoch whose validation accuracy is at least that.
- A line is the median over the seeds; its band is from the fastest seed to the slowest. It ends at the last accuracy
  that every seed reaches: beyond it, the median would cover only the lucky seeds.
- Accuracies are in steps of 0.1 percentage points, from the lowest that any run has after its first epoch.
- Optimizers differ in colour and dash, networks in their markers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups
from kws.reports.drawing import MARKERS, PLAIN_LOOKS, Style, explain, look, panels, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MANY = True
_STEPS = 1000  # from accuracy 0 to 1


def epochs_to(curves: NDArray[np.float64], accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first epochs, counted from 1, in which each of n curves (n, E) reaches each of A accuracies: (n, A).

    nan if a curve never reaches it.
    """
    reached = curves[:, None, :] >= accuracies[None, :, None]
    return np.where(reached.any(axis=2), reached.argmax(axis=2) + 1.0, np.nan)


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The largest group of these runs that may share a figure: epochs over validation accuracy in percent.

    Raises RegistryError if there is no such group, or if a run lacks epochs.
    """
    group = groups.taken(registry, runs)
    table = group.table
    curves = [groups.validation_accuracies(registry, cell) for cell in table.cells]
    lowest = min(int(_STEPS * each[:, 0].min()) for each in curves)
    drawing, (axes,) = panels(style, 1)
    handles = []
    for cell, of_cell in zip(table.cells, curves, strict=True):
        accuracies = np.arange(lowest, _STEPS + 1) / _STEPS
        accuracies = accuracies[accuracies <= np.nanmax(of_cell, axis=1).min()]
        epochs = epochs_to(of_cell, accuracies)
        column, row = table.columns.index(cell.column), table.rows.index(cell.row)
        line = {
            **look(column),
            "linewidth": 1.6 * style.line,
            "marker": MARKERS[row % len(MARKERS)],
            "markersize": 5 * style.line**0.5,
            "markerfacecolor": ("white", look(column)["color"], "black")[column // PLAIN_LOOKS % 3],
            "label": plain(f"{cell.row}, {cell.column}"),
        }
        if cell.n > 1:
            axes.fill_between(
                100 * accuracies, epochs.min(axis=0), epochs.max(axis=0), color=line["color"], alpha=0.15, linewidth=0
            )
        few = (0.04 * row, 0.12)  # shares of the panel's diagonal, so that the markers of two networks alternate
        axes.plot(100 * accuracies, np.median(epochs, axis=0), **line | {"markevery": few})
        handles.append(Line2D([], [], **line))
    axes.set(xlabel="validation accuracy (%)", ylabel="epochs to reach it")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    spread = ": median, and from the fastest to the slowest seed" if any(cell.n > 1 for cell in table.cells) else ""
    explain(drawing, style, f"Epochs to reach an accuracy on {group.about}{spread}", handles)
    return drawing
