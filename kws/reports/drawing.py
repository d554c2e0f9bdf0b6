"""Defines how every figure looks and how it is saved: its colours, its two styles, its panels and its file.

Decisions:
- Colours are Okabe and Ito's, which colour-blind readers can distinguish. Each goes with a dash and a marker of its
  own, so that lines also differ in grey print.
- On screen a figure has a title. In a paper it is one column wide, has the caption's font size, and shows the title's
  text above the legend.
- The user's matplotlib settings are ignored: the same runs give the same bytes.
- Text is never parsed as mathematics. Unprintable characters are shown as escapes.
"""

from __future__ import annotations

import itertools
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from kws.errors import RegistryError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PLAIN_LOOKS = math.lcm(len(COLOURS), len(DASHES))  # lines that differ in colour or dash
LOOKS = PLAIN_LOOKS * (1 + len(MARKERS))
_NARROW = 20  # letters of long names that must fit a legend's column
_HANDLE = 0.6  # inches of a legend's column besides its names
ENDINGS = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Style:
    """The sizes of a figure: lengths in inches, font sizes in points; `line` scales all line widths."""

    name: str
    columns: int  # most panels side by side
    panel: tuple[float, float]  # width and height of one of several panels
    alone: tuple[float, float]  # of a single panel
    points: float
    small: float  # points, in legends and inside panels
    line: float
    dpi: int
    titled: bool  # whether there is a title; else its text is above the legend

    def columns_of(self, panels: int) -> int:
        """How many of these panels stand side by side; four make a square."""
        return min(self.columns, 2 if panels == 4 else panels)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The context in which figures are made and written: matplotlib's defaults with this style's sizes."""
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(
                {
                    "font.size": self.points,
                    "axes.titlesize": "large" if self.titled else "medium",
                    "figure.titlesize": "medium",
                    "legend.fontsize": self.small,
                    "legend.title_fontsize": self.small,
                    "axes.linewidth": 0.8 * self.line,
                    "xtick.major.width": 0.8 * self.line,
                    "ytick.major.width": 0.8 * self.line,
                    "axes.grid": True,
                    "axes.axisbelow": True,
                    "grid.color": "#dddddd",
                    "grid.linewidth": 0.6 * self.line,
                    "axes.spines.top": False,
                    "axes.spines.right": False,
                    "text.parse_math": False,
                    "axes.formatter.use_mathtext": False,
                    "pdf.fonttype": 42,
                    "svg.hashsalt": "kws",
                }
            )
            yield


SCREEN = Style(
    name="screen",
    columns=3,
    panel=(5.0, 4.4),
    alone=(8.0, 5.0),
    points=10,
    small=8.33,
    line=1.0,
    dpi=160,
    titled=True,
)
PAPER = Style(
    name="paper",
    columns=1,
    panel=(3.3, 1.9),
    alone=(3.3, 2.5),
    points=8,
    small=8,
    line=0.6,
    dpi=300,
    titled=False,
)
STYLES = {style.name: style for style in (SCREEN, PAPER)}


def panels(
    style: Style, count: int, *, square: bool = False, columns: int | None = None, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, filled row by row; `square` makes them high enough to be square.

    The style says how many stand side by side, unless `columns` is given. `shared` is passed to matplotlib's
    subplots().
    """
    from matplotlib.figure import Figure

    columns = columns or style.columns_of(count)
    rows = -(-count // columns)
    width = style.alone[0] if count == 1 else style.panel[0]
    height = style.alone[1] if count == 1 or (square and not style.titled) else style.panel[1]
    drawing = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = list(drawing.subplots(rows, columns, squeeze=False, **shared).flat)
    for empty in grid[count:]:
        empty.set_axis_off()
    return drawing, grid[:count]


def label_outer(found: list[Axes]) -> None:
    """Keep axis labels only where no panel is below, or to the left: for panels that share both axes."""
    for place, axes in enumerate(found):
        columns = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
        lowest, first = place + columns >= len(found), place % columns == 0
        axes.tick_params(labelbottom=lowest, labelleft=first)
        axes.set(xlabel=axes.get_xlabel() if lowest else "", ylabel=axes.get_ylabel() if first else "")


def explain(drawing: Figure, style: Style, about: str, handles: Sequence[Artist] = (), *, columns: int = 2) -> None:
    """Say what a figure shows, in its title or above its legend; it grows by the text outside its panels.

    The legend is below the panels, in as many columns as its names leave room for, at most `columns`. A figure with
    neither legend nor title has the text there.
    """
    width = drawing.get_figwidth()
    text = wrapped(about, style, width)
    lines = text.count("\n") + (0 if style.titled else 1)
    side_by_side, height = 1, lines * 1.45 * style.points
    if handles:
        names = [str(handle.get_label()) for handle in handles]
        most = min(columns, len(names)) if style.titled else 1
        room = min(max(map(len, names)), _NARROW)  # letters
        fitting = [number for number in range(most, 1, -1) if _letters(width / number - _HANDLE, style) >= room]
        side_by_side = min([*fitting, 1], key=lambda number: _lines(names, style, width, number))
        legend, _ = _lines(names, style, width, side_by_side)
        entries = -(-len(names) // side_by_side)
        height += max(legend * 1.45 * style.points, (legend * 1.23 + entries * 0.5) * style.small)
        for handle, name in zip(handles, names, strict=True):
            handle.set_label(wrapped(name, style, width / side_by_side - _HANDLE))
    drawing.set_figheight(drawing.get_figheight() + height / 72)
    if style.titled:
        drawing.suptitle(text)
    if handles:
        drawing.legend(
            handles=list(handles),
            loc="outside lower center",
            ncols=side_by_side,
            frameon=False,
            title=None if style.titled else text,
            alignment="left",
        )
    elif not style.titled:
        drawing.supxlabel(text, fontsize=style.small)


def _lines(names: Sequence[str], style: Style, width: float, columns: int) -> tuple[int, int]:
    """How many lines a legend of these names takes in `columns` columns of a figure, and its longest name.

    `width` is that of the figure in inches.
    """
    heights = [wrapped(name, style, width / columns - _HANDLE).count("\n") + 1 for name in names]
    larger, rest = divmod(len(heights), columns)
    ends = list(itertools.accumulate((larger + (column < rest) for column in range(columns)), initial=0))
    return max(sum(heights[start:end]) for start, end in itertools.pairwise(ends)), max(heights)


def wrapped(text: str, style: Style, inches: float) -> str:
    """The text, made printable, in lines of at most `inches`; text beyond eight lines is cut off."""
    letters = max(8, _letters(inches, style))
    return "\n".join(textwrap.wrap(plain(text), letters, max_lines=8, placeholder=" ...", break_on_hyphens=False))


def _letters(inches: float, style: Style) -> int:
    return int(inches * 72 / (0.62 * style.points))


def plain(text: str) -> str:
    """Text from outside on one line, with unprintable characters shown as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))


def look(number: int) -> dict[str, Any]:
    """The colour and dash of line `number`, counted from 0; no two of LOOKS lines look the same.

    When colours and dashes do not suffice, a line also has markers at intervals.
    """
    line = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}
    again = number // PLAIN_LOOKS
    return {**line, "marker": MARKERS[(again - 1) % len(MARKERS)], "markevery": 0.13} if again else line


def save(drawing: Figure, path: Path, style: Style = SCREEN) -> None:
    """Write the figure as PNG, SVG or PDF, by the file's suffix; the same runs give the same bytes.

    Raises RegistryError if the suffix is another, or if the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise RegistryError(f"`out` (={str(path)!r}) must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    dates: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    try:
        with style.applied(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box is drawn instead
            drawing.savefig(path, dpi=style.dpi, metadata=dates[ending])
    except OSError as error:
        raise RegistryError(f"{path} cannot be written ({error.strerror or error})") from None
