"""Compares optimizers: validation accuracy over epochs, one panel per network and one line per optimizer.

A line is the mean over the seeds; its band is from the lowest seed to the highest. With few seeds that says more than a
standard deviation, and assumes nothing about their distribution. Both end where the first seed does, since a mean of
those that were trained for longer is one of others; from there on each of these is a thin line of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups
from kws.reports.drawing import Style, explain, label_outer, look, panels, plain, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = True


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The largest group of these runs that may share a figure: validation accuracy in percent over epochs.

    Raises RegistryError if there is no such group, or if a run lacks epochs.
    """
    group = groups.taken(registry, runs)
    table = group.table
    drawing, found = panels(style, len(table.rows), sharey=True, sharex=True)
    for axes, row in zip(found, table.rows, strict=True):
        for number, column in enumerate(table.columns):
            if cell := table.cell(row, column):
                curves = 100 * groups.validation_accuracies(registry, cell)
                apart, curves = curves, curves[:, ~np.isnan(curves).any(axis=0)]
                epochs = np.arange(1, curves.shape[1] + 1)
                line = look(number)
                if cell.n > 1:
                    axes.fill_between(
                        epochs, curves.min(axis=0), curves.max(axis=0), color=line["color"], alpha=0.2, linewidth=0
                    )
                if len(epochs) == 1:
                    line = {"marker": "o", **line, "markevery": 1}
                axes.plot(epochs, curves.mean(axis=0), **line, linewidth=1.8 * style.line)
                for longer in apart[~np.isnan(apart[:, len(epochs) :]).all(axis=1)]:
                    after = np.arange(len(epochs), apart.shape[1] + 1)
                    axes.plot(after, longer[len(epochs) - 1 :], color=line["color"], linewidth=0.6 * style.line)
        axes.set_title(wrapped(row, style, drawing.get_figwidth() / style.columns_of(len(found)) - 0.5))
        axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        axes.margins(x=0.01)
    label_outer(found)
    handles = [
        Line2D([], [], **look(number), linewidth=1.8 * style.line, label=plain(column))
        for number, column in enumerate(table.columns)
    ]
    spread = ": mean, and from the lowest to the highest seed" if any(cell.n > 1 for cell in table.cells) else ""
    explain(drawing, style, f"Optimizers on {group.about}{spread}", handles, columns=len(handles))
    return drawing
