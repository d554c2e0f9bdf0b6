"""Draws accuracy against time: validation accuracy over the training seconds spent until then, a line a recipe.

Decisions:
- Recipes are compared as a whole, as in the figure of sizes. A recipe has a colour and a dash, and its name stands
  beside the figure, at the height of its line's end where there is room: no legend has to be searched.
- A recipe's line has the mean accuracy of its runs after each epoch over the median of the seconds until then, up to
  the epoch in which the first of them ended. Each run is a thin pale line.
- The seconds are those of training with the validation after each epoch. Their axis is logarithmic, since a line that
  is three times as long in one recipe as in another should be so everywhere.
- With a target, a marker is at the median of the seconds until a recipe's runs first reach it. A run that never does
  counts as later than all that do, so a recipe has a marker where more than half of its runs reach it; how many do is
  said beside its name.
- If the times were not measured on one machine, the figure says so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kws.registry.reader import RegistryReader
from kws.registry.runs import Curve, Run
from kws.reports import caveats, groups
from kws.reports.cells import Cell
from kws.reports.drawing import MARKERS, Style, explain, look, panels, wrapped
from kws.reports.metrics import METRICS, metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = True
_BESIDE = 2.4  # inches for the names beside the panel
_BESIDE_IN_PRINT = 1.3
_AROUND = 0.8  # inches of a figure's height that are not its panel's
_MANY = 10  # runs of a recipe whose lines are paler
_LEADING = 1.35  # heights of a letter from line to line
_SHOWN = 1.5  # how much of the accuracies below the worst last one is shown, as a multiple of the range of last ones
_LEAST_RANGE = 0.02  # of accuracies


def figure(registry: RegistryReader, runs: list[Run], style: Style, target: float | None = None) -> Figure:
    """The largest group of these runs on the same data: validation accuracy in percent over seconds, logarithmic.

    Raises RegistryError if there is no such group, or if a run lacks epochs.
    """
    group = groups.taken(registry, runs, metric=METRICS["seconds"], whole=True)
    cells = group.table.cells
    curves = {cell: [groups.curve(registry, run_id) for run_id in cell.runs] for cell in cells}
    drawing, (axes,) = panels(style, 1)
    told: dict[Cell, str] = {}
    typical: dict[Cell, Curve] = {}
    for number, cell in enumerate(cells):
        line = look(number)
        for curve in curves[cell] if cell.n > 1 else ():
            pale = {"color": line["color"], "alpha": 0.3 if cell.n > _MANY else 0.6, "linewidth": 0.6 * style.line}
            axes.plot(curve.seconds, [100 * each for each in curve.validation_accuracies], **pale)
        typical[cell] = _typical(curves[cell])
        line |= {"marker": "o", "markevery": 1} if len(typical[cell].seconds) == 1 else {}
        percent = [100 * each for each in typical[cell].validation_accuracies]
        axes.plot(typical[cell].seconds, percent, **line, linewidth=1.8 * style.line)
        wide = _BESIDE if style.titled else _BESIDE_IN_PRINT
        told[cell] = wrapped(cell.row, style, wide)
        if target is not None:
            told[cell] += "\n" + wrapped(_reached(axes, number, curves[cell], target, style), style, wide)
    most = max(max(curve.validation_accuracies) for of_cell in curves.values() for curve in of_cell)
    _limit(axes, [*typical.values()], most, target)
    if target is not None:
        axes.axhline(100 * target, color="black", linewidth=0.8 * style.line, zorder=1)
        axes.annotate(
            f"{100 * target:g} %", (0, 100 * target), xycoords=axes.get_yaxis_transform(), xytext=(3, 2),
            textcoords="offset points", fontsize=style.small,
        )  # fmt: skip
    axes.set(xlabel="training seconds", ylabel="validation accuracy (%)")
    _name(drawing, axes, told, typical, style)
    asked = METRICS["seconds"] if target is None else metric("seconds-to-reach", target=target)
    notes = [f". Note: {note}" for note in caveats.of_metric(registry, asked, [*group.runs.values()])]
    explain(drawing, style, f"Validation accuracy over training time on {group.about}{''.join(notes)}")
    return drawing


def _typical(curves: Sequence[Curve]) -> Curve:
    """The mean accuracy after each epoch that all of these runs have, and the median of the seconds until then."""
    return Curve(
        validation_accuracies=tuple(
            map(statistics.mean, zip(*(each.validation_accuracies for each in curves), strict=False))
        ),
        seconds=tuple(map(statistics.median, zip(*(each.seconds for each in curves), strict=False))),
        processor_seconds=None,
    )


def _reached(axes: Axes, number: int, curves: Sequence[Curve], target: float, style: Style) -> str:
    """Mark the median of the seconds until runs reach the target; returns what is said of it beside their name."""
    places = [curve.reaches(target) for curve in curves]
    seconds = [math.inf if place is None else curve.seconds[place] for curve, place in zip(curves, places, strict=True)]
    reached = sum(map(math.isfinite, seconds))
    median = statistics.median(seconds)
    many = f"{reached} of {len(seconds)} reached"
    if not math.isfinite(median):
        return many
    axes.plot(
        [median], [100 * target], marker=MARKERS[number % len(MARKERS)], color=look(number)["color"],
        markeredgecolor="black", markersize=7 * style.line**0.5, linestyle="none", zorder=5,
    )  # fmt: skip
    return f"{median:,.1f} s" if len(seconds) == 1 else f"{median:,.1f} s ({many})"


def _limit(axes: Axes, curves: Sequence[Curve], highest: float, target: float | None) -> None:
    """Show the accuracies near the last ones, for all lines come from far below, and seconds by powers of ten."""
    last = [curve.validation_accuracies[-1] for curve in curves] + ([] if target is None else [target])
    highest = max(highest, *last)
    room = max(highest - min(last), _LEAST_RANGE)
    first = min(curve.validation_accuracies[0] for curve in curves)
    axes.set_ylim(100 * max(min(last) - _SHOWN * room, first - 0.05 * room), 100 * min(highest + 0.15 * room, 1.0))
    axes.set_xscale("log")
    shortest, longest = (pick(curve.seconds[i] for curve in curves) for pick, i in ((min, 0), (max, -1)))
    wide = longest > 100 * shortest
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name(drawing: Figure, axes: Axes, told: Mapping[Cell, str], lines: Mapping[Cell, Curve], style: Style) -> None:
    """Write what is told of each recipe beside the panel, and lead to it from its line; the figure grows to fit it."""
    line = _LEADING * style.small / 72
    heights = {cell: (text.count("\n") + 1.6) * line for cell, text in told.items()}
    needed = sum(heights.values())
    drawing.set_figheight(max(drawing.get_figheight(), needed + _AROUND))
    panel = max(drawing.get_figheight() - _AROUND, needed)
    low, high = axes.get_ylim()
    ends = {cell: 100 * each.validation_accuracies[-1] for cell, each in lines.items()}
    top, left = 1.0, 1.0 - needed / panel  # shares of the panel's height; `left` may stay free between names
    for cell in sorted(told, key=lambda cell: -ends[cell]):
        share, end = heights[cell] / panel, min(max((ends[cell] - low) / (high - low), 0.0), 1.0)
        gap = min(max(top - share / 2 - end, 0.0), left)
        left, middle = left - gap, top - gap - share / 2
        of_line = look([*told].index(cell))
        axes.annotate(
            told[cell], (lines[cell].seconds[-1], ends[cell]), xytext=(1.03, middle),
            textcoords="axes fraction", ha="left", va="center", fontsize=style.small, annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": of_line["color"], "linestyle": of_line["linestyle"],
                "linewidth": 0.8 * style.line, "shrinkA": 1, "shrinkB": 1, "relpos": (0.0, 0.5),
            },
        )  # fmt: skip
        top = middle - share / 2
