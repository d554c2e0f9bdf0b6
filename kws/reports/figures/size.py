"""Draws accuracy against size: test accuracy over the number of parameters, one point a recipe with its 95 % interval.

Decisions:
- Every point stands at its number of parameters. Of recipes of equal size, the interval of each is wider and paler than
  that of the next, so that all can be seen where they overlap.
- Each point has its recipe's name beside it. If there is no room for all names, points have numbers, and a list below
  the panel says what they are; very many have a legend of optimizers and networks alone.
- Optimizers differ in colour and in whether their points are filled, networks in their markers.
- Recipes are compared as a whole: where they differ in epochs or minibatches they are those of a leaderboard.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from kws.recipe import NETWORK, OPTIMIZER
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import groups
from kws.reports.cells import Cell
from kws.reports.drawing import COLOURS, MARKERS, Style, explain, panels, plain
from kws.reports.point_labels import Point, beside_points
from kws.reports.table import Table

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = True
_FILLS = ("full", "none", "left", "top", "right", "bottom")  # of markers; with seven colours they make 42 looks
_MOST_NAMED = 40  # more recipes than these are not even listed
_MARGIN = (0.34, 0.16)  # beside the points, for their names: as a share of the decades between them, and at least
_PARAMETERS = r" \([0-9,]+ params\)$"
_WIDER, _PALE = 5, 0.4  # points of print of an interval behind another, and its opacity
_MOST_SIZES = 4  # so many sizes can be the axis's own ticks
_TICKS_APART = 1.2  # the least ratio of two such


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The largest group of these runs on the same data: accuracy in percent over parameters, logarithmic.

    Raises RegistryError if there is no such group.
    """
    group = groups.taken(registry, runs, whole=groups.differ_in_conditions(runs))
    if len(group.table.cells) <= _MOST_NAMED:
        for numbered in (False, True):
            drawing, fits = _drawn(group, style, numbered=numbered, named=True)
            if fits:
                return drawing
    return _drawn(group, style, numbered=False, named=False)[0]


def _drawn(group: groups.Group, style: Style, *, numbered: bool, named: bool) -> tuple[Figure, bool]:
    """The figure, and whether all names, or with `numbered` numbers, had room beside their points."""
    table = group.table
    rows, columns = _titles(table)
    drawing, (axes,) = panels(style, 1)
    points: list[Point] = []
    listed: list[Artist] = []
    sizes = sorted({cell.parameters for cell in table.cells})
    for size in sizes:
        cells = [cell for cell in table.cells if cell.parameters == size]
        for place, cell in enumerate(cells):
            behind = len(cells) - 1 - place  # how many are drawn over it
            row, column = (
                titles.index(title) for titles, title in zip((rows, columns), _title(table, cell), strict=True)
            )
            looks = _look(column, row, style)
            low, high = _interval(cell)
            number = len(points) + 1
            cap = (3 + _WIDER / 2 * behind) * style.line
            at = {"x": size, "y": 100 * cell.mean, "low": 100 * low, "high": 100 * high, "half": cap}
            points.append(Point(**at, name=(str(number) if numbered else _name(table, cell)) if named else ""))
            listed.append(Line2D([], [], **looks, label=f"{number}  {_name(table, cell)}"))
            bar = axes.errorbar(
                [size],
                [100 * cell.mean],
                yerr=[[100 * (cell.mean - low)], [100 * (high - cell.mean)]],
                **looks,
                ecolor=looks["color"],
                elinewidth=(1.4 + _WIDER * behind) * style.line,
                capsize=cap,
                zorder=2 + place / len(cells),
                label=plain(_name(table, cell)),
            )
            bar.lines[0].set_zorder(4)  # no interval hides a point
            if behind:
                bar.lines[2][0].set_alpha(_PALE)
    _scale(axes, table, sizes)
    over = max((cell.interval_over or "" for cell in table.cells), key=len)
    intervals = f"; intervals are 95 %, over {over}" if over else ""
    about = f"Test accuracy on {group.about}{intervals}"
    if numbered:
        explain(drawing, style, about, listed)
    else:
        explain(drawing, style, about, _legend(rows, columns, style) if table.beside or not named else (), columns=4)
    return drawing, beside_points(axes, points, style)


def _scale(axes: Axes, table: Table, sizes: Sequence[int]) -> None:
    """Leave room for names; the ticks are the sizes themselves, if they are few and apart."""
    axes.set(xscale="log", xlabel="parameters", ylabel="test accuracy (%)")
    first, last = (max(size, 1) for size in (sizes[0], sizes[-1]))
    margin = 10 ** max(_MARGIN[0] * math.log10(last / first), _MARGIN[1])
    axes.set_xlim(first / margin, last * margin)
    apart = all(larger > _TICKS_APART * smaller for smaller, larger in itertools.pairwise(sizes))
    if len(sizes) <= _MOST_SIZES and apart:
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if last < 30 * first else (1,)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.xaxis.set_minor_formatter(NullFormatter())
    ends = [100 * end for cell in table.cells for end in (cell.mean, *_interval(cell))]
    room = max(0.08 * (max(ends) - min(ends)), 0.5)
    axes.set_ylim(min(ends) - room, max(ends) + room)


def _legend(rows: Sequence[str], columns: Sequence[str], style: Style) -> list[Artist]:
    """What colours and markers stand for."""
    return [
        *(
            Line2D([], [], **_look(column, 0, style) | {"marker": "o"}, label=plain(title))
            for column, title in enumerate(columns)
        ),
        *(
            Line2D([], [], **_look(0, row, style) | {"color": "black", "markerfacecolor": "black"}, label=plain(title))
            for row, title in enumerate(rows)
        ),
    ]


def _titles(table: Table) -> tuple[list[str], list[str]]:
    """What markers and what colours stand for."""
    if not table.beside:
        return [*table.rows], [*table.columns]
    archs, opts = ({getattr(cell, name) for cell in table.cells} for name in ("arch", "opt"))
    return (
        [NETWORK.title(arch) for arch in sorted(archs, key=NETWORK.rank)],
        [OPTIMIZER.title(opt) for opt in sorted(opts, key=OPTIMIZER.rank)],
    )


def _name(table: Table, cell: Cell) -> str:
    """A recipe's name, without the number of parameters, which its place shows."""
    return cell.row if table.beside else f"{re.sub(_PARAMETERS, '', cell.row)}, {cell.column}"


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
    fill = _FILLS[column % len(_FILLS)]
    return {
        "color": colour,
        "markerfacecolor": "white" if fill == "none" else colour,
        "markerfacecoloralt": "white",
        "fillstyle": "full" if fill == "none" else fill,
        "markeredgewidth": 1.4 * style.line,
        "marker": MARKERS[row % len(MARKERS)],
        "markersize": 7 * style.line**0.5,
        "linestyle": "none",
    }
