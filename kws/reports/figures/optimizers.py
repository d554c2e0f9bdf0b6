"""Compares optimizers: validation accuracy over epochs, one panel per network and one line per optimizer.

A line is the mean over the seeds; its band is from the lowest seed to the highest. With few seeds that says more than a
standard deviation, and assumes nothing about their distribution. Both end where the first seed does, since a mean of
those that were trained for longer is one of others; from there on each of these is a thin line of its own.

A line's name stands beside its panel; long ones leave no room for a second panel at its side, and very many have a
legend below all panels. The axis begins where the last accuracies can be told apart: earlier ones come from below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups, line_labels
from kws.reports.drawing import Style, accuracy_from, explain, label_outer, look, panels, plain, wrapped
from kws.reports.line_labels import End, beside_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MANY = True
_SHORT = 12  # letters of a name that panels side by side have room for


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The largest group of these runs that may share a figure: validation accuracy in percent over epochs.

    Raises RegistryError if there is no such group, or if a run lacks epochs.
    """
    group = groups.taken(registry, runs)
    table = group.table
    direct = len(table.columns) <= line_labels.MOST
    longest = max(len(plain(column)) for column in table.columns)
    columns = None if longest <= _SHORT or not direct else 1
    beside = min(style.beside, 0.62 * style.points * (longest + 1) / 72)  # inches
    height = style.alone if len(table.rows) == 1 else style.panel
    if direct:
        height = max(height, line_labels.height_for(table.columns, style, beside))
    drawing, found = panels(style, len(table.rows), height=height, columns=columns, sharey=True, sharex=True)
    ends: list[list[End]] = []
    first = 100.0
    for axes, row in zip(found, table.rows, strict=True):
        ends.append([])
        for number, column in enumerate(table.columns):
            if cell := table.cell(row, column):
                curves = 100 * groups.validation_accuracies(registry, cell)
                first = min(first, curves[:, 0].min())
                x, y = _draw(axes, curves, number, style)
                looks = {name: look(number)[name] for name in ("color", "linestyle")}
                ends[-1].append(End(x=x, y=y, name=column, **looks))
        side_by_side = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
        axes.set_title(_title(row, style, style.width / side_by_side - (beside if direct else 0) - 0.6))
        axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
        axes.margins(x=0)
    label_outer(found)
    bottom = accuracy_from([end.y for of_panel in ends for end in of_panel], first)
    top = max(float(axes.dataLim.y1) for axes in found)
    found[0].set_ylim(bottom, top + 0.05 * max(top - bottom, 1))
    handles = [
        Line2D([], [], **look(number), linewidth=1.8 * style.line, label=plain(column))
        for number, column in enumerate(table.columns)
    ]
    spread = ": mean, and from the lowest to the highest seed" if any(cell.n > 1 for cell in table.cells) else ""
    about = f"Optimizers on {group.about}{spread}"
    explain(drawing, style, about, () if direct else handles, columns=len(handles))
    if direct:
        for axes, of_panel in zip(found, ends, strict=True):
            beside_lines(axes, of_panel, style, beside)
    return drawing


def _title(row: str, style: Style, inches: float) -> str:
    """The name of a network, and on a line of its own how many parameters it has."""
    name, _, parameters = row.removesuffix(" params)").rpartition(" (")
    if not (row.endswith(" params)") and parameters.replace(",", "").isdecimal()):
        return wrapped(row, style, inches)
    return f"{wrapped(name, style, inches)}\n{parameters} parameters"


def _draw(axes: Axes, curves: NDArray[np.float64], number: int, style: Style) -> tuple[float, float]:
    """Draw the accuracies (n, E) of a cell in percent; returns the last epoch of their mean, and that mean."""
    apart, curves = curves, curves[:, ~np.isnan(curves).any(axis=0)]
    epochs = np.arange(1, curves.shape[1] + 1)
    line = look(number)
    if len(curves) > 1:
        axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=line["color"], alpha=0.2, linewidth=0)
    if len(epochs) == 1:
        line = {"marker": "o", **line, "markevery": 1}
    mean = curves.mean(axis=0)
    axes.plot(epochs, mean, **line, linewidth=2 * style.line, markersize=5 * style.line**0.5)
    for longer in apart[~np.isnan(apart[:, len(epochs) :]).all(axis=1)]:
        after = np.arange(len(epochs), apart.shape[1] + 1)
        axes.plot(after, longer[len(epochs) - 1 :], color=line["color"], linewidth=0.6 * style.line)
    return float(epochs[-1]), float(mean[-1])
