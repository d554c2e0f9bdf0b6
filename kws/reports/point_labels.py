"""Puts a name beside each point of a figure, where no other name, point or interval is, as far as there is room.

Each name tries the places around its point, the nearest first, and takes the first that is free; if none is, the one
that covers least. A name that stands apart from its point has a thin line to it. The same points give the same places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kws.reports.drawing import Style, lay_out, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

    Boxes = NDArray[np.float64]  # (N, 4): the left, lower, right and upper sides in dots
Place = tuple[float, float, str, str]  # offsets in points of print, and alignments


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point and the ends of its interval in the data's units, half the interval's width in points, and its name."""

    x: float
    y: float
    low: float
    high: float
    half: float = 0.0
    name: str = ""


_INCHES = 2.0  # of a line of a name
_NEAR = 7.5  # points of print between a point and its name
_POINT = 4.0  # points of print around a point that are its own
_APART = 14.0  # points of print from which on a name has a line
_LINE_GAP = 4.0  # points of print between a line and the name
_CROSSED = 500.0  # the price of a point on the way to a name, in dots of area covered
_PARTS = 24  # of that way that are looked at
_STEPS = 16  # places further up and down


def beside_points(axes: Axes, points: Sequence[Point], style: Style) -> bool:
    """Write each name beside its point; the figure must have its final size.

    Returns whether every name has a place where it covers nothing.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    lay_out(figure)
    inside = np.array([axes.get_window_extent().extents])
    own = np.array([_around(axes, point, point.y, point.y, _POINT) for point in points])
    ranges = np.array([_around(axes, point, point.low, point.high, max(point.half, _POINT)) for point in points])
    taken = np.concatenate([own, ranges])
    places = _places(style.small)
    all_free = True
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
            bbox={
                "facecolor": "white",
                "edgecolor": "none",
                "alpha": 0.8,
                "pad": 0.5,
            },  # on a curve it can be read, too
        )
        size = text.get_window_extent()
        middle = (around[:2] + around[2:]) / 2
        boxes = np.array([_box(middle, place, size, figure.dpi / 72) for place in places])
        outside = size.width * size.height - _shared(boxes, inside)[:, 0]
        covered = _shared(boxes, taken).sum(axis=1)
        others = own[_shared(around[None], own)[0] == 0]
        covered += _CROSSED * _crossings(boxes, middle, others)
        free = covered + outside < 1
        best = int(free.argmax() if free.any() else (10 * outside + covered + 1e-3 * np.arange(len(places))).argmin())
        all_free &= bool(free.any())
        x, y, horizontal, vertical = places[best]
        text.set(position=(x, y), horizontalalignment=horizontal, verticalalignment=vertical)
        if math.hypot(x, y) > _APART:
            _line(axes, point, (x, y - (math.copysign(_LINE_GAP, y) if y else 0)), style)
        taken = np.concatenate([taken, boxes[best : best + 1]])
    return all_free


def _places(line: float) -> list[Place]:
    """Offsets in points of print with their alignments, the nearest first: right of the point, left, above, below."""
    made: list[tuple[float, Place]] = []
    for step in range(-_STEPS, _STEPS + 1):
        y = 0.75 * step * line
        for more in range(0, 4 * _STEPS, 12):
            x, far = _NEAR + more, more + abs(y)
            made += [(far, (x, y, "left", "center")), (far, (-x, y, "right", "center"))]
        if step:
            made.append((abs(y), (0.0, y + math.copysign(_NEAR, y), "center", "bottom" if y > 0 else "top")))
    return [place for _, place in sorted(made, key=lambda each: each[0])]


def _around(axes: Axes, point: Point, low: float, high: float, half: float) -> NDArray[np.float64]:
    """The corners (x0, y0, x1, y1) in dots of what a point covers from `low` to `high`, and `half` to each side."""
    half *= axes.figure.dpi / 72
    (x, y0), (_, y1) = axes.transData.transform([(point.x, low), (point.x, high)])
    return np.array([x - half, y0 - half, x + half, y1 + half])


def _box(middle: NDArray[np.float64], place: Place, size: Bbox, scale: float) -> tuple[float, float, float, float]:
    """The corners in dots of a name of that size at a place beside the middle of its point."""
    x, y, horizontal, vertical = place
    x0 = middle[0] + scale * x - {"left": 0.0, "center": 0.5, "right": 1.0}[horizontal] * size.width
    y0 = middle[1] + scale * y - {"bottom": 0.0, "center": 0.5, "top": 1.0}[vertical] * size.height
    return x0, y0, x0 + size.width, y0 + size.height


def _line(axes: Axes, point: Point, to: tuple[float, float], style: Style) -> None:
    """A thin line from a point to its name."""
    look = {"arrowstyle": "-", "linewidth": 0.5 * style.line, "shrinkA": 0, "shrinkB": _POINT, "color": "0.4"}
    about: dict[str, Any] = {"textcoords": "offset points", "arrowprops": look, "annotation_clip": False}
    axes.annotate("", (point.x, point.y), xytext=to, in_layout=False, **about)


def _crossings(boxes: Boxes, middle: NDArray[np.float64], others: Boxes) -> NDArray[np.int64]:
    """How many other points (O, 4) lie on the way from a point's middle to each place (P, 4) of its name: (P,)."""
    ends = np.clip(middle, boxes[:, :2], boxes[:, 2:])
    parts = np.arange(1, _PARTS)[None, :, None] / _PARTS
    way = (middle + (ends - middle)[:, None] * parts)[:, :, None]
    inside = np.logical_and(way >= others[:, :2], way <= others[:, 2:])
    return np.asarray(np.sum(np.any(np.all(inside, axis=3), axis=1), axis=1))


def _shared(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """The areas (P, O) that boxes (P, 4) share with others (O, 4)."""
    low = np.maximum(some[:, None, :2], others[:, :2])
    high = np.minimum(some[:, None, 2:], others[:, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2))
