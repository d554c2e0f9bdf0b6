"""Curves in braille characters: a terminal cell holds 2 by 4 dots, so lines look fine even in few cells.

This is our own code because it is short. The library for this, plotext, draws through C++ that some machines would have
to compile, keeps one figure for the whole process, and takes 0.2 s to import and 30 ms per frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # bits by row and column within a cell
_EMPTY = 0x2800
_TICK_ROWS = 2  # minimum distance between two labels of the vertical axis
_TICKS = 9  # at most
_TICK_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points (x, y) in drawing order, and their style; `mark` is drawn at the last point."""

    points: Sequence[tuple[float, float]]
    style: Style
    dotted: bool = False
    mark: str = ""


def chart(title: str, curves: Sequence[Curve], *, width: int, height: int, unit: str = "", zero: bool = False) -> Text:
    """Curves in one frame, as `height` lines of at most `width` cells; x values are integers, such as epochs.

    With `zero` the vertical axis starts at 0. Later curves are drawn over earlier ones. Without points, or in fewer
    than 16 by 5 cells, the result is a title and blank lines.
    """
    points = [point for curve in curves for point in curve.points]
    lines = [Text(title[:width], style="bold")]
    if points and width >= 16 and height >= 5:
        lines += _plot(curves, points, width=width, height=height - 1, unit=unit, zero=zero)
    lines += [Text()] * (height - len(lines))
    return Text("\n").join(lines[:height])


def _plot(
    curves: Sequence[Curve],
    points: list[tuple[float, float]],
    *,
    width: int,
    height: int,
    unit: str,
    zero: bool,
) -> list[Text]:
    """Frame and curves without the title; the last two lines are the axis and its labels."""
    rows = height - 2
    ys = [y for _, y in points]
    ticks = nice_ticks(0.0 if zero else min(ys), max(ys), most=min(rows // _TICK_ROWS + 1, _TICKS))
    low, high = ticks[0], ticks[-1]
    names = [f"{tick:.10g}{unit}" for tick in ticks]
    margin = max(map(len, names))
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    columns = width - margin - 2  # the axis, and a cell at the right so that a mark never ends the line
    canvas = _Canvas(columns, rows)
    across = (2 * columns - 1) / (last - first) if last > first else 0.0
    down = (4 * rows - 1) / (high - low)
    for curve in curves:
        dots = [(round((x - first) * across), round((high - y) * down)) for x, y in curve.points]
        canvas.line(dots, curve)
    canvas.marks()
    labelled = {round((high - tick) * down) // 4: name for tick, name in zip(ticks, names, strict=True)}
    lines = []
    for row in range(rows):
        name = labelled.get(row, "")
        lines.append(Text.assemble((f"{name:>{margin}}", "dim"), ("┤" if name else "│", "dim"), canvas.row(row)))
    lines.append(Text(" " * margin + "└" + "─" * columns, style="dim"))
    lines.append(Text(" " * (margin + 1) + _x_labels(first, last, across, columns), style="dim"))
    return lines


class _Canvas:
    """The dots, and the style of the last curve drawn in each cell."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._styles: list[list[Style | None]] = [[None] * columns for _ in range(rows)]
        self._marks: dict[tuple[int, int], tuple[str, Style]] = {}
        self._ends: list[tuple[int, int, Curve]] = []

    def line(self, dots: Sequence[tuple[int, int]], curve: Curve) -> None:
        """Draw lines between these dots; a dotted curve omits every second pair of dots."""
        step = 0
        for begin, end in zip(dots, dots[1:] or dots, strict=False):
            for x, y in _between(begin, end):
                step += 1
                if not curve.dotted or step % 4 < 2:
                    self._dots[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
                    self._styles[y // 4][x // 2] = curve.style
        if dots and curve.mark:
            self._ends.append((dots[-1][0] // 2, dots[-1][1] // 4, curve))

    def marks(self) -> None:
        """Place each curve's mark at its end, or in the nearest free cell above or below."""
        for column, row, curve in sorted(self._ends, key=lambda end: end[1]):  # the highest first
            for away in range(2 * self._rows):
                free = row + (away + 1) // 2 * (1 if away % 2 else -1)
                if 0 <= free < self._rows and (free, column) not in self._marks:
                    self._marks[free, column] = (curve.mark, curve.style)
                    break

    def row(self, row: int) -> Text:
        """A line of cells."""
        text = Text()
        for column in range(self._columns):
            mark = self._marks.get((row, column))
            if mark:
                text.append(mark[0], mark[1] + Style(bold=True))
            elif dots := self._dots[row][column]:
                text.append(chr(_EMPTY + dots), self._styles[row][column])
            else:
                text.append(" ")
        return text


def _between(begin: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The dots from `begin` to `end`, both included."""
    (x, y), (across, down) = begin, (end[0] - begin[0], end[1] - begin[1])
    steps = max(abs(across), abs(down))
    yield begin
    for step in range(1, steps + 1):
        yield x + round(across * step / steps), y + round(down * step / steps)


def nice_ticks(low: float, high: float, *, most: int) -> list[float]:
    """Evenly spaced round numbers that cover `low` to `high`; the step is 1, 2 or 5 times a power of ten.

    There are at least 2 of them, and at most `most` if that is 3 or more.
    """
    if high <= low:
        low, high = low - (abs(low) or 1) * 0.01, high + (abs(high) or 1) * 0.01
    exponent = math.floor(math.log10((high - low) / max(most, 2))) - 1
    while True:
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
            if last - first + 1 <= max(most, 3):
                last = max(last, first + 1)
                return [round(number * step, 12 + max(-exponent, 0)) for number in range(first, last + 1)]
        exponent += 1


def _x_labels(first: float, last: float, across: float, columns: int) -> str:
    """The labels below the axis: whole numbers, each at the position of its value."""
    line = [" "] * columns
    ticks = nice_ticks(first, last, most=max(columns // _TICK_COLUMNS, 2)) if last > first else []
    inner = [tick for tick in ticks if first < tick < last and tick == int(tick)]
    for value in (first, last, *inner):
        name = f"{value:.0f}"
        middle = round((value - first) * across) // 2
        begin = min(max(middle - len(name) // 2, 0), columns - len(name))
        if begin >= 0 and all(cell == " " for cell in line[max(begin - 1, 0) : begin + len(name) + 1]):
            line[begin : begin + len(name)] = name
    return "".join(line)
