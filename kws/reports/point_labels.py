"""Puts a name beside each point of a figure, where no other name, point or interval is, as far as there is room.

Each name tries the places around its point, the nearest first, and takes the first that is free; if none is, the one
that covers least. A name that stands apart from its point has a thin line to it. The same points give the same places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.transforms import Bbox, ScaledTranslation

from kws.reports.drawing import Style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point and the ends of its interval in the data's units, inches that it stands aside, and its name, if any."""

    x: float
    y: float
    low: float
    high: float
    aside: float = 0.0
    name: str = ""


_INCHES = 1.6  # of a line of a name
_NEAR = 6.0  # points of print between a point and its name
_POINT = 4.0  # points of print around a point that are its own
_APART = 14.0  # points of print from which on a name has a line
_LINE_GAP = 4.0  # points of print between a line and the name
_CROSSED = 500.0  # the price of a point on the way to a name, in dots of area covered
_PARTS = 24  # of that way that are looked at
_STEPS = 16  # places further up and down


def beside_points(axes: Axes, points: Sequence[Point], style: Style) -> None:
    """Write each name beside its point; the figure must have its final size."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    inside = axes.get_window_extent()
    own = [_around(axes, point, point.y, point.y) for point in points]
    taken = [*own, *(_around(axes, point, point.low, point.high) for point in points)]
    for point, around in sorted(zip(points, own, strict=True), key=lambda each: -each[0].y):
        if not point.name:
            continue
        text = axes.annotate(
            wrapped(point.name, style, _INCHES),
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=style.small,
            in_layout=False,  # or the axes would move away under the names
        )
        best: tuple[float, Bbox] | None = None
        for step, (x, y, horizontal, vertical) in enumerate(_places(point.aside * 72, style.small)):
            text.set(position=(x, y), horizontalalignment=horizontal, verticalalignment=vertical)
            box = text.get_window_extent()
            outside = box.width * box.height - _shared(box, inside)
            covered = sum(_shared(box, other) for other in taken)
            covered += _CROSSED * _crossings(box, around, (other for other in own if other is not around))
            cost = 10 * outside + covered + 1e-3 * step
            if best is None or cost < best[0]:
                best, kept = (cost, box), (x, y, horizontal, vertical)
            if covered + outside < 1:
                break
        x, y, horizontal, vertical = kept
        text.set(position=(x, y), horizontalalignment=horizontal, verticalalignment=vertical)
        if math.hypot(x - 72 * point.aside, y) > _APART:
            _line(axes, point, (x, y - (math.copysign(_LINE_GAP, y) if y else 0)), style)
        taken.append(text.get_window_extent())


def _places(aside: float, line: float) -> list[tuple[float, float, str, str]]:
    """Offsets in points of print with their alignments, the nearest first: right of the point, left, above, below."""
    made: list[tuple[float, tuple[float, float, str, str]]] = []
    for step in range(-_STEPS, _STEPS + 1):
        y = 0.75 * step * line
        for more in range(0, 4 * _STEPS, 12):
            x, far = _NEAR + more, more + abs(y)
            made += [(far, (aside + x, y, "left", "center")), (far, (aside - x, y, "right", "center"))]
        if step:
            made.append((abs(y), (aside, y + math.copysign(_NEAR, y), "center", "bottom" if y > 0 else "top")))
    return [place for _, place in sorted(made, key=lambda each: each[0])]


def _around(axes: Axes, point: Point, low: float, high: float) -> Bbox:
    """What a point covers from `low` to `high`."""
    dots = axes.figure.dpi
    (x, y0), (_, y1) = axes.transData.transform([(point.x, low), (point.x, high)])
    x, half = x + point.aside * dots, _POINT * dots / 72
    return Bbox.from_extents(x - half, y0 - half, x + half, y1 + half)


def _line(axes: Axes, point: Point, to: tuple[float, float], style: Style) -> None:
    """A thin line from a point to its name."""
    look = {"arrowstyle": "-", "linewidth": 0.5 * style.line, "shrinkA": 0, "shrinkB": _POINT, "color": "0.4"}
    about: dict[str, Any] = {"textcoords": "offset points", "arrowprops": look, "annotation_clip": False}
    to = to[0] - 72 * point.aside, to[1]
    at = axes.transData + ScaledTranslation(point.aside, 0, axes.figure.dpi_scale_trans)
    axes.annotate("", (point.x, point.y), xycoords=at, xytext=to, in_layout=False, **about)


def _crossings(box: Bbox, around: Bbox, others: Iterable[Bbox]) -> int:
    """How many other points lie on the way from a point to its name."""
    x0, y0 = (around.x0 + around.x1) / 2, (around.y0 + around.y1) / 2
    x1, y1 = min(max(x0, box.x0), box.x1), min(max(y0, box.y0), box.y1)
    way = [(x0 + (x1 - x0) * part / _PARTS, y0 + (y1 - y0) * part / _PARTS) for part in range(1, _PARTS)]
    return sum(any(other.contains(*place) for place in way) for other in others)


def _shared(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)
