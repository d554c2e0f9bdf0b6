"""Writes the name of each line beside its panel, as near to the height of the line's end as other names leave room.

A thin line of the same colour and dash leads from a line's end to the right of the panel, and from there to the name:
no legend has to be searched. Names have the order of the ends, and never overlap. The same lines give the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.transforms import offset_copy

from kws.reports.drawing import Style, ink, lay_out, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 14  # more lines than these have a legend
_LEADING = 1.3  # heights of a letter from line to line
_BETWEEN = 0.45  # heights of a letter between two names
_AROUND = 0.7  # inches of a panel's height for its ticks and labels
_GAP = 0.16  # inches from the panel to the names


@dataclass(frozen=True, kw_only=True)
class End:
    """Where a line ends, in the data's units, its name, and its colour and dash as matplotlib has them."""

    x: float
    y: float
    name: str
    color: str
    linestyle: str


def height_for(names: Sequence[str], style: Style, inches: float) -> float:
    """The height in inches of a panel that has room beside it for these names, in lines of so many inches."""
    lines = sum(wrapped(name, style, inches).count("\n") + 1 for name in names)
    return (lines * _LEADING + len(names) * _BETWEEN) * style.small / 72 + _AROUND


def beside_lines(axes: Axes, ends: Sequence[End], style: Style, inches: float) -> None:
    """Write these names in lines of so many inches; the panel must have its limits, and the figure its final height."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    low, high = axes.get_ylim()
    # First all at one height: the layout gives them their width, which decides how wide the panel is.
    texts = [
        axes.annotate(
            wrapped(end.name, style, inches), (1, 0.5), xycoords="axes fraction", xytext=(72 * _GAP, 0),
            textcoords="offset points", ha="left", va="center", fontsize=style.small, linespacing=_LEADING / 1.15,
            color=ink(end.color), annotation_clip=False,
        )
        for end in ends
    ]  # fmt: skip
    lay_out(figure)
    panel = axes.get_window_extent().height
    between = _BETWEEN * style.small / 72 * figure.dpi
    heights = [(text.get_window_extent().height + between) / panel for text in texts]
    scale = axes.transData.transform
    bottom, top = scale((ends[0].x, low))[1], scale((ends[0].x, high))[1]
    levels = [min(max((scale((end.x, end.y))[1] - bottom) / (top - bottom), 0.0), 1.0) for end in ends]
    for end, text, level, place in zip(ends, texts, levels, spread(levels, heights), strict=True):
        text.xy = (1, place)
        _lead(axes, end, level, place, style)


def _lead(axes: Axes, end: End, level: float, place: float, style: Style) -> None:
    """Lead from a line's end along its level to the panel's right side, and from there to its name."""
    arrow = {
        "arrowstyle": "-", "color": end.color, "linewidth": 0.8 * style.line, "shrinkA": 0, "shrinkB": 0,
        "linestyle": end.linestyle,
    }  # fmt: skip
    about: dict[str, Any] = {"annotation_clip": False, "in_layout": False}
    if axes.transLimits.transform(axes.transScale.transform((end.x, end.y)))[0] < 1 - 1e-6:
        axes.annotate(
            "", (end.x, level), xycoords=axes.get_xaxis_transform(), xytext=(1, level), textcoords="axes fraction",
            arrowprops=arrow | {"alpha": 0.5}, **about,
        )  # fmt: skip
    axes.annotate(
        "", (1, level), xycoords="axes fraction", xytext=(1, place), arrowprops=arrow | {"linestyle": "-"},
        textcoords=offset_copy(axes.transAxes, axes.get_figure(root=True), x=0.8 * _GAP), **about,
    )  # fmt: skip


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Places from 0 to 1 for names of these heights, in the wanted order and as near to it as they do not overlap.

    Names that would overlap form a block, whose middle is the mean of what its names want. All heights are shares of
    the panel's; if they are more than 1 in all, names begin at the top and go on below the panel.
    """
    order = sorted(range(len(wanted)), key=lambda i: -wanted[i])
    blocks: list[tuple[list[int], float, float]] = []  # the names of a block, its middle, and its height
    for i in order:
        block = [i], _inside(wanted[i], heights[i]), heights[i]
        while blocks and blocks[-1][1] - blocks[-1][2] / 2 < block[1] + block[2] / 2:
            names = [*blocks.pop()[0], *block[0]]
            height, above, middles = sum(heights[j] for j in names), 0.0, []
            for j in names:  # where the block's middle would be, had each name its way
                middles.append(wanted[j] + above + heights[j] / 2 - height / 2)
                above += heights[j]
            block = names, _inside(sum(middles) / len(middles), height), height
        blocks.append(block)
    places = [0.0] * len(wanted)
    for names, middle, height in blocks:
        top = middle + height / 2
        for j in names:
            places[j], top = top - heights[j] / 2, top - heights[j]
    return places


def _inside(middle: float, height: float) -> float:
    return min(max(middle, height / 2), 1 - height / 2)
