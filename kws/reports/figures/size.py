"""Draws accuracy against size: test accuracy over the number of parameters, one point a recipe with its 95 % interval.

Optimizers differ in colour and in whether their points are filled, networks in their markers. Points of equal size are
drawn side by side, a few points of print apart, so that their intervals can be distinguished. Recipes are compared as a
whole: where they differ in epochs or minibatches they are those of a leaderboard, each with its name at its point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from kws.recipe import NETWORK, OPTIMIZER
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups
from kws.reports.cells import Cell
from kws.reports.drawing import COLOURS, MARKERS, Style, explain, panels, plain, wrapped
from kws.reports.point_labels import Point, beside_points
from kws.reports.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY = True
_APART = 7  # points of print between points of equal size


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The largest group of these runs on the same data: accuracy in percent over parameters, logarithmic.

    Raises RegistryError if there is no such group.
    """
    group = groups.taken(registry, runs, whole=groups.differ_in_conditions(runs))
    table = group.table
    rows, columns = _titles(table)
    drawing, (axes,) = panels(style, 1)
    sizes = sorted({cell.parameters for cell in table.cells})
    points = []
    for size in sizes:
        cells = [cell for cell in table.cells if cell.parameters == size]
        for place, cell in enumerate(cells):
            row, column = (
                titles.index(title) for titles, title in zip((rows, columns), _title(table, cell), strict=True)
            )
            aside = _APART * style.line**0.5 * (place - (len(cells) - 1) / 2) / 72
            low, high = _interval(cell)
            at = {"x": size, "y": 100 * cell.mean, "low": 100 * low, "high": 100 * high, "aside": aside}
            points.append(Point(**at, name=_name(cell)))
            axes.errorbar(
                [size],
                [100 * cell.mean],
                yerr=[[100 * (cell.mean - low)], [100 * (high - cell.mean)]],
                **_look(column, row, style),
                ecolor=COLOURS[column % len(COLOURS)],
                elinewidth=1.4 * style.line,
                capsize=3 * style.line,
                transform=axes.transData + ScaledTranslation(aside, 0, drawing.dpi_scale_trans),
                label=plain(cell.row if table.beside else f"{cell.row}, {cell.column}"),
            )
        if table.beside:
            continue
        titles = dict.fromkeys(NETWORK.title(cell.arch) for cell in cells)
        axes.annotate(
            "\n".join([*(wrapped(title, style, 2) for title in titles), f"{size:,}"]),
            (size, 100 * max(_interval(cell)[1] for cell in cells)),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=style.small,
        )
    axes.set(xscale="log", xlabel="parameters", ylabel="test accuracy (%)")
    margin = 3 if table.beside else 1.8  # for the text beside
    axes.set_xlim(max(sizes[0], 1) / margin, max(sizes[-1], 1) * margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if sizes[-1] < 30 * sizes[0] else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())
    ends = [100 * end for cell in table.cells for end in (cell.mean, *_interval(cell))]
    room = max(0.08 * (max(ends) - min(ends)), 0.5)
    axes.set_ylim(min(ends) - room, max(ends) + (1 if table.beside else 3) * room)  # leaves room for the text above
    handles = [
        Line2D([], [], **_look(column, 0, style) | {"marker": "o"}, label=plain(title))
        for column, title in enumerate(columns)
    ] + [
        Line2D([], [], **_look(0, row, style) | {"color": "black", "markerfacecolor": "black"}, label=plain(title))
        for row, title in enumerate(rows)
    ]
    over = max((cell.interval_over or "" for cell in table.cells), key=len)
    intervals = f"; intervals are 95 %, over {over}" if over else ""
    explain(drawing, style, f"Test accuracy on {group.about}{intervals}", handles)
    if table.beside:
        beside_points(axes, points, style)
    return drawing


def _titles(table: Table) -> tuple[list[str], list[str]]:
    """What markers and what colours stand for."""
    if not table.beside:
        return [*table.rows], [*table.columns]
    archs, opts = ({getattr(cell, name) for cell in table.cells} for name in ("arch", "opt"))
    return (
        [NETWORK.title(arch) for arch in sorted(archs, key=NETWORK.rank)],
        [OPTIMIZER.title(opt) for opt in sorted(opts, key=OPTIMIZER.rank)],
    )


def _name(cell: Cell) -> str:
    """A recipe's name but for its network and optimizer, which marker and colour show."""
    told = f"{NETWORK.title(cell.arch)}, {OPTIMIZER.title(cell.opt)}"
    return cell.row.removeprefix(told).removeprefix(", ")


def _title(table: Table, cell: Cell) -> tuple[str, str]:
    return (NETWORK.title(cell.arch), OPTIMIZER.title(cell.opt)) if table.beside else (cell.row, cell.column)


def _interval(cell: Cell) -> tuple[float, float]:
    """The ends of a cell's interval, limited to possible accuracies; its mean if it has no interval."""
    if cell.low is None or cell.high is None:
        return cell.mean, cell.mean
    return min(max(cell.low, 0.0), cell.mean), max(min(cell.high, 1.0), cell.mean)


def _look(column: int, row: int, style: Style) -> dict[str, Any]:
    """A point's colour and fill by its optimizer, its marker by its network."""
    colour = COLOURS[column % len(COLOURS)]
    again = column // (2 * len(COLOURS)) % 3  # above 0, the colour is that of an earlier optimizer
    return {
        "color": colour,
        "markerfacecolor": colour if column % 2 == 0 or again else "white",
        "markerfacecoloralt": "white",
        "fillstyle": (("full", "full"), ("left", "top"), ("right", "bottom"))[again][column % 2],
        "markeredgewidth": 1.4 * style.line,
        "marker": MARKERS[row % len(MARKERS)],
        "markersize": 7 * style.line**0.5,
        "linestyle": "none",
    }
