"""A table on the terminal, as wide as its texts need and no wider than the terminal; no number is ever cut.

Where there is no room, the widest columns are narrowed first and their texts broken as kws.reports.line_breaks says.
Where words would have to be cut, the columns stand in several parts below each other, each with the first.
In a file or a pipe nothing is broken. This is not rich's table, which cuts words where columns are narrow, and takes
seconds for a thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

from kws.reports.line_breaks import broken, needs

_MARGIN = 2
_GAPS = (3, 2)  # between columns, where there is room and where there is not


class Table:
    """Rows of texts under the names of their columns; a text has one style, or none."""

    def __init__(self, *columns: str, title: str = "", header: bool = True) -> None:
        self.columns, self.title, self.header = columns, title, header
        self._rows: list[tuple[Text, ...]] = []
        self._sections: set[int] = set()

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def add_row(self, *cells: str | Text) -> None:
        """Add a row; cells that are missing at its end are empty."""
        texts = [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
        self._rows.append((*texts, *(Text() for _ in self.columns[len(texts) :])))

    def add_section(self) -> None:
        """Set the next rows apart by a line."""
        self._sections.add(len(self._rows))

    @property
    def width(self) -> int:
        """How wide it is where nothing is broken."""
        return _MARGIN + sum(self._widest(place) for place in range(len(self.columns))) + self._gaps(_GAPS[0])

    def _gaps(self, gap: int, columns: int | None = None) -> int:
        return gap * ((len(self.columns) if columns is None else columns) - 1)

    def _texts(self, place: int) -> Iterator[str]:
        if self.header:
            yield self.columns[place]
        for row in self._rows:
            yield row[place].plain

    def _widest(self, place: int) -> int:
        return max((cell_len(line) for text in self._texts(place) for line in text.split("\n")), default=0)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(self.width, options.max_width), min(self.width, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width
        if self.title:
            for line in broken(self.title, width, cell_len):
                yield _line(line)
            yield _line("")
        for part in self._parts(width):
            yield from self._drawn(part, *self._fitted(part, width))
            yield _line("")

    def _parts(self, width: int) -> list[list[int]]:
        """The columns, in as few parts as leave every word whole."""
        words = [self._needed(place)[-1] for place in range(len(self.columns))]
        parts = [[0]]
        for place in range(1, len(words)):
            columns = [*parts[-1], place]
            if (
                len(columns) > 2
                and _MARGIN + sum(words[i] for i in columns) + self._gaps(_GAPS[-1], len(columns)) > width
            ):
                parts.append([0, place])
            else:
                parts[-1] = columns
        return parts

    def _needed(self, place: int) -> tuple[int, ...]:
        """The widths that a column needs, the best first."""
        return tuple(map(max, zip(*(needs(text, cell_len) for text in self._texts(place)), strict=True))) or (0, 0, 0)

    def _fitted(self, part: Sequence[int], width: int) -> tuple[list[int], int]:
        """The width of each column of a part, and the gap between them."""
        widest = [self._widest(place) for place in part]
        for gap in _GAPS:
            if _MARGIN + sum(widest) + self._gaps(gap, len(part)) <= width:
                return widest, gap
        for least in zip(*map(self._needed, part), strict=True):
            for gap in _GAPS:
                room = width - _MARGIN - self._gaps(gap, len(part))
                if sum(least) <= room:
                    return _shared(widest, least, room), gap
        return _shared(widest, [min(each, 1) for each in widest], room), gap

    def _drawn(self, part: Sequence[int], widths: Sequence[int], gap: int) -> Iterator[Text]:
        rule = " " * _MARGIN + "\u2500" * (sum(widths) + self._gaps(gap, len(widths)))
        if self.header:
            yield from _row([Text(self.columns[place], style="bold") for place in part], widths, gap)
        if self.header or not self.title:
            yield _line(rule)
        for number, row in enumerate(self._rows):
            if number in self._sections:
                yield _line(rule)
            yield from _row([row[place] for place in part], widths, gap)


def least_width(columns: Sequence[int]) -> int:
    """How wide a table is whose columns are so wide, at the least."""
    return _MARGIN + sum(columns) + _GAPS[-1] * (len(columns) - 1)


def _row(cells: Sequence[Text], widths: Sequence[int], gap: int) -> Iterator[Text]:
    """The lines of a row."""
    lines = [broken(cell.plain, width, cell_len) for cell, width in zip(cells, widths, strict=True)]
    for number in range(max(map(len, lines))):
        line, column = _line(""), _MARGIN
        for cell, texts, width in zip(cells, lines, widths, strict=True):
            if number < len(texts) and texts[number]:
                line.append(" " * (column - cell_len(line.plain)))
                line.append(texts[number], style=cell.style)
            column += width + gap
        yield line


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ignore")


def _shared(widest: Sequence[int], needs: Sequence[int], room: int) -> list[int]:
    """Widths that fill the room: the widest columns are narrowed first, none below what it needs."""
    most = max(widest, default=0)
    pairs = [*zip(needs, widest, strict=True)]
    while most > 1 and sum(max(need, min(wide, most)) for need, wide in pairs) > room:
        most -= 1
    widths = [max(need, min(wide, most)) for need, wide in pairs]
    for place, wide in enumerate(widest):
        widths[place] += min(max(room - sum(widths), 0), max(wide - widths[place], 0))
    return widths
