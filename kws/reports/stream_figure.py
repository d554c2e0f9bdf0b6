"""Draws a stream's detection error trade-off: misses against false accepts an hour, a line a keyword.

Decisions:
- False accepts are on a logarithmic axis. None has no place on it: such points stand at its left end, under "0".
- A curve has the fewest misses with no more false accepts, over all thresholds. Its band is Wilson's interval of them.
- A keyword's marker is where it works: at the thresholds of the run, or those that were given or chosen.
- To the left of the dotted line, a rate is lower than what no false accept at all would prove in so many hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from kws.reports.drawing import MARKERS, Style, explain, look, panels, plain
from kws.reports.statistics import over_clips
from kws.reports.streams import FalseAccepts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kws.reports.streams import DetCurve, Point

_NONE = 0.4  # where on the axis no event stands, as a part of one event
_BOUND: dict[str, Any] = {"color": "#999999", "linestyle": ":", "linewidth": 1.2}
_LEAST_MISSES = 0.1  # the misses axis goes at least to here


def figure(curves: Sequence[DetCurve], points: Sequence[Point], title: str, style: Style) -> Figure:
    """The figure of these curves that have words said, with the points of the same words marked."""
    with style.applied():
        drawing, (axes,) = panels(style, 1)
        handles = []
        shown = [curve for curve in curves if curve.said]
        highest = _LEAST_MISSES
        for number, curve in enumerate(shown):
            point = next((each for each in points if each.word == curve.word), None)
            highest = max(highest, _draw(axes, curve, point, number, style))
            name = "all keywords" if curve.word is None else curve.word
            marker: dict[str, Any] = {} if point is None else _marker(number, style)
            label = plain(f"{name} ({curve.said:,} said)")
            handles.append(Line2D([], [], **_line(number), **marker, linewidth=1.6 * style.line, label=label))
        if shown:
            hours = shown[0].hours
            _scale(axes, hours, min(1.0, 1.15 * highest))
            proved = f"no false accept in {hours:.2f} h proves at most {FalseAccepts(0, hours).at_most:.1f} an hour"
            handles.append(Line2D([], [], **_BOUND, label=proved))
        explain(drawing, style, title, handles)
        return drawing


def _line(number: int) -> dict[str, Any]:
    """A curve's colour and dash; its only marker is where it works."""
    return {name: look(number)[name] for name in ("color", "linestyle")}


def _marker(number: int, style: Style) -> dict[str, Any]:
    shape = MARKERS[number % len(MARKERS)]
    return {"marker": shape, "markersize": 6 * style.line**0.5, "markeredgecolor": "black"}


def _draw(axes: Axes, curve: DetCurve, point: Point | None, number: int, style: Style) -> float:
    """One curve; returns the misses that must be on the axis."""
    corners = fewest_misses(curve)
    at = np.array([max(events, _NONE) / curve.hours for events, _ in corners])
    misses = np.array([100 * missed / curve.said for _, missed in corners])
    ends = [over_clips(missed, curve.said) for _, missed in corners]
    line = _line(number)
    axes.plot(at, misses, **line, linewidth=1.6 * style.line, drawstyle="steps-post")
    low, high = ([100 * getattr(end, side) for end in ends] for side in ("low", "high"))
    axes.fill_between(at, low, high, color=line["color"], alpha=0.15, linewidth=0, step="post")
    most = float(misses.max()) / 100
    if point is None:
        return most
    x = max(point.false_accepts.events, _NONE) / point.false_accepts.hours
    rate = point.misses / point.said if point.said else 0.0
    axes.plot([x], [100 * rate], color=line["color"], linestyle="none", **_marker(number, style), zorder=3)
    return max(most, rate)


def fewest_misses(curve: DetCurve) -> list[tuple[int, int]]:
    """The corners of a curve: false accepts, rising, and the fewest misses with no more than these, falling."""
    found: list[tuple[int, int]] = []
    for events, missed in sorted(zip(curve.false_accepts, curve.misses, strict=True)):
        if not found or missed < found[-1][1]:
            found = [each for each in found if each[0] != events] + [(events, missed)]
    return found


def _scale(axes: Axes, hours: float, highest: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    none = _NONE / hours
    most = max(line.get_xdata().max() for line in axes.get_lines())  # type: ignore[union-attr]
    decades = [10.0**power for power in range(-3, 6) if 1 / hours <= 10.0**power <= 2 * most]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([none, *decades]))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value <= none * 1.001 else f"{value:g}"))
    axes.axvline(FalseAccepts(0, hours).at_most, **_BOUND)
    axes.set(xlim=(none * 0.85, max(most, 4 / hours) * 1.2), ylim=(0, 100 * highest))
    axes.set(xlabel="false accepts an hour", ylabel="misses (% of the words said)")
