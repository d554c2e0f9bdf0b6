"""Draws accuracy against time: validation accuracy over the training seconds spent until then, a line a recipe.

Decisions:
- Recipes are compared as a whole, as in the figure of sizes. A recipe has a colour and a dash, and its name stands
  beside the figure, at the height of its line's end where there is room: no legend has to be searched.
- A recipe's line has the mean accuracy of its runs after each epoch over the median of the seconds until then, up to
  the epoch in which the first of them ended. Where few recipes are shown, a band is from the lowest of their runs to
  the highest; bands of more would hide each other.
- The seconds are those of training with the validation after each epoch. Their axis is logarithmic, since a line that
  is three times as long in one recipe as in another should be so everywhere.
- With a target, a marker is at the median of the seconds until a recipe's runs first reach it, with a bar from the
  first to the last of those that do. A run that never does counts as later than all that do, so a recipe has a marker
  where more than half of its runs reach it; how many do is said beside its name.
- If the times were not measured on one machine, the figure says so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kws.registry.reader import RegistryReader
from kws.registry.runs import Curve, Run
from kws.reports import caveats, groups, line_labels
from kws.reports.drawing import MARKERS, Style, accuracy_from, explain, look, panels, plain
from kws.reports.line_labels import End
from kws.reports.metrics import METRICS, metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = True
_FEW = 3  # most recipes whose runs' accuracies have a band


def figure(registry: RegistryReader, runs: list[Run], style: Style, target: float | None = None) -> Figure:
    """The largest group of these runs on the same data: validation accuracy in percent over seconds, logarithmic.

    Raises RegistryError if there is no such group, or if a run lacks epochs.
    """
    group = groups.taken(registry, runs, metric=METRICS["seconds"], whole=True)
    curves = {cell: [groups.curve(registry, run_id) for run_id in cell.runs] for cell in group.table.cells}
    typical = {cell: _typical(of_cell) for cell, of_cell in curves.items()}
    told = {cell: cell.row if target is None else f"{cell.row}: {_told(of, target)}" for cell, of in curves.items()}
    direct = len(told) <= line_labels.MOST
    needed = line_labels.height_for([*told.values()], style, style.beside)
    drawing, (axes,) = panels(style, 1, height=max(style.alone, needed) if direct else None)
    ends, handles = [], []
    for number, (cell, mean) in enumerate(typical.items()):
        line = look(number)
        line |= {"marker": "o", "markevery": 1} if len(mean.seconds) == 1 else {}
        line |= {"linewidth": 1.8 * style.line, "markersize": 5 * style.line**0.5}
        percent = [100 * each for each in mean.validation_accuracies]
        axes.plot(mean.seconds, percent, **line)
        if cell.n > 1 and len(told) <= _FEW:
            low, high = ([100 * pick(each) for each in _by_epoch(curves[cell])] for pick in (min, max))
            axes.fill_between(mean.seconds, low, high, color=line["color"], alpha=0.15, linewidth=0)
        if target is not None:
            _mark(axes, number, curves[cell], target, style)
        looks = {name: line[name] for name in ("color", "linestyle")}
        ends.append(End(x=mean.seconds[-1], y=percent[-1], name=told[cell], **looks))
        handles.append(Line2D([], [], **line, label=plain(told[cell])))
    _limit(axes, [*typical.values()], target)
    if target is not None:
        axes.axhline(100 * target, color="black", linewidth=0.8 * style.line, zorder=1)
    axes.set(xlabel="training seconds", ylabel="validation accuracy (%)")
    asked = METRICS["seconds"] if target is None else metric("seconds-to-reach", target=target)
    notes = [f". Note: {note}" for note in caveats.of_metric(registry, asked, [*group.runs.values()])]
    about = f"Validation accuracy over training time on {group.about}"
    if target is not None:
        about += f"; markers at the median time to {100 * target:g} %"
    explain(drawing, style, f"{about}{''.join(notes)}", () if direct else handles)
    if direct:
        line_labels.beside_lines(axes, ends, style, style.beside)
    return drawing


def _by_epoch(curves: Sequence[Curve]) -> list[tuple[float, ...]]:
    """The runs' accuracies after each epoch that all of them have."""
    return list(zip(*(each.validation_accuracies for each in curves), strict=False))


def _typical(curves: Sequence[Curve]) -> Curve:
    """The mean accuracy after each epoch that all of these runs have, and the median of the seconds until then."""
    return Curve(
        validation_accuracies=tuple(map(statistics.mean, _by_epoch(curves))),
        seconds=tuple(map(statistics.median, zip(*(each.seconds for each in curves), strict=False))),
        processor_seconds=None,
    )


def _seconds(curves: Sequence[Curve], target: float) -> list[float]:
    """The seconds until each run first reaches the target; infinite if it never does."""
    places = [curve.reaches(target) for curve in curves]
    return [math.inf if place is None else curve.seconds[place] for curve, place in zip(curves, places, strict=True)]


def _told(curves: Sequence[Curve], target: float) -> str:
    """What is said beside a recipe's name: the median of the seconds, and how many runs reached the target."""
    seconds = _seconds(curves, target)
    reached, median = sum(map(math.isfinite, seconds)), statistics.median(seconds)
    many = f"{reached} of {len(seconds)} reached"
    if not math.isfinite(median):
        return many
    if reached < len(seconds):
        return f"{median:,.1f} s ({many})"
    return f"{median:,.1f} s"


def _mark(axes: Axes, number: int, curves: Sequence[Curve], target: float, style: Style) -> None:
    """Mark the median of the seconds until runs reach the target, and when the first and the last of them do."""
    seconds = _seconds(curves, target)
    median = statistics.median(seconds)
    if not math.isfinite(median):
        return
    colour, reached = look(number)["color"], [each for each in seconds if math.isfinite(each)]
    axes.hlines(100 * target, min(reached), max(reached), color=colour, linewidth=3.5 * style.line, zorder=4)
    axes.plot(
        [median], [100 * target], marker=MARKERS[number % len(MARKERS)], color=colour,
        markeredgecolor="black", markersize=8 * style.line**0.5, linestyle="none", zorder=5,
    )  # fmt: skip


def _limit(axes: Axes, curves: Sequence[Curve], target: float | None) -> None:
    """Show the accuracies near the last ones, for all lines come from far below, and seconds by powers of ten."""
    last = [100 * curve.validation_accuracies[-1] for curve in curves]
    most = max(100 * max(max(curve.validation_accuracies) for curve in curves), 0 if target is None else 100 * target)
    first = 100 * min(curve.validation_accuracies[0] for curve in curves)
    bottom = min(accuracy_from(last, first), 100.0 if target is None else 100 * target - 1)
    axes.set_ylim(max(bottom, 0.0), most + 0.05 * max(most - bottom, 1))
    axes.set_xscale("log")
    shortest, longest = (pick(curve.seconds[i] for curve in curves) for pick, i in ((min, 0), (max, -1)))
    axes.set_xlim(0.8 * shortest, 1.1 * longest)
    wide = longest > 100 * shortest
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
