"""Draws how fast runs converge: each validation accuracy over the epochs needed to reach it, one line per cell.

Decisions:
- A run reaches an accuracy in the first epoch whose validation accuracy is at least that.
- A line is the median over the seeds; its band is from the fastest seed to the slowest. It ends at the last accuracy
  that every seed reaches: beyond it, the median would cover only the lucky seeds.
- Accuracies are in steps of 0.1 percentage points, from the lowest that any run has after its first epoch.
- A line's name stands beside the panel, without the number of parameters where names differ without it. Very many lines
  have a legend below the panel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups, line_labels
from kws.reports.drawing import Style, accuracy_from, explain, look, panels, plain
from kws.reports.line_labels import End
from kws.reports.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MANY = True
_STEPS = 1000  # from accuracy 0 to 1
_PARAMETERS = r" \([0-9,]+ params\)$"


def epochs_to(curves: NDArray[np.float64], accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first epochs, counted from 1, in which each of n curves (n, E) reaches each of A accuracies: (n, A).

    nan if a curve never reaches it.
    """
    reached = curves[:, None, :] >= accuracies[None, :, None]
    return np.where(reached.any(axis=2), reached.argmax(axis=2) + 1.0, np.nan)


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The largest group of these runs that may share a figure: validation accuracy in percent over epochs.

    Raises RegistryError if there is no such group, or if a run lacks epochs.
    """
    group = groups.taken(registry, runs)
    table = group.table
    curves = [groups.validation_accuracies(registry, cell) for cell in table.cells]
    lowest = min(int(_STEPS * each[:, 0].min()) for each in curves)
    names = _names(table)
    direct = len(names) <= line_labels.MOST
    needed = line_labels.height_for(names, style, style.beside)
    drawing, (axes,) = panels(style, 1, height=max(style.alone, needed) if direct else None)
    handles, ends = [], []
    for number, (cell, of_cell) in enumerate(zip(table.cells, curves, strict=True)):
        accuracies = np.arange(lowest, _STEPS + 1) / _STEPS
        accuracies = accuracies[accuracies <= np.nanmax(of_cell, axis=1).min()]
        epochs = epochs_to(of_cell, accuracies)
        line = {**look(number), "linewidth": 1.8 * style.line, "markersize": 5 * style.line**0.5}
        if cell.n > 1:
            axes.fill_betweenx(
                100 * accuracies, epochs.min(axis=0), epochs.max(axis=0), color=line["color"], alpha=0.12, linewidth=0
            )
        median = np.median(epochs, axis=0)
        axes.plot(median, 100 * accuracies, **line)
        ends.append(
            End(
                x=median[-1],
                y=100 * accuracies[-1],
                name=names[number],
                color=line["color"],
                linestyle=line["linestyle"],
            )
        )
        handles.append(Line2D([], [], **line, label=plain(names[number])))
    axes.set(xlabel="epochs to reach it", ylabel="validation accuracy (%)")
    axes.set_xlim(left=0, right=max(curve.shape[1] for curve in curves))
    last = [end.y for end in ends]
    bottom = accuracy_from(last, 100 * lowest / _STEPS)
    axes.set_ylim(bottom, max(last) + 0.06 * max(max(last) - bottom, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    spread = ": median, and from the fastest to the slowest seed" if any(cell.n > 1 for cell in table.cells) else ""
    about = f"Epochs to reach an accuracy on {group.about}{spread}"
    explain(drawing, style, about, () if direct else handles)
    if direct:
        line_labels.beside_lines(axes, ends, style, style.beside)
    return drawing


def _names(table: Table) -> list[str]:
    """The name of each cell, without the number of parameters where no two are the same then."""
    short = [f"{re.sub(_PARAMETERS, '', cell.row)}, {cell.column}" for cell in table.cells]
    return short if len({*short}) == len(short) else [f"{cell.row}, {cell.column}" for cell in table.cells]
