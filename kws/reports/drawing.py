"""How every figure looks and how it is kept: its colours, its two styles, its panels and its file.

Decisions:
- Colours are Okabe and Ito's, which stay apart for colour-blind readers; each goes with a dash and a marker of its own,
  so that lines stay apart in grey print, too.
- On screen a figure has a title. In a paper it is one column wide, in the caption's size of letters, and what the title
  would say stands over the legend.
- Whatever a user has set for matplotlib does not count: the same runs give the same bytes.
- No text is ever parsed as mathematics, and what cannot be printed in it is shown as its escape.
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
_NARROW = 20  # letters of long names that a legend's column must have room for
_HANDLE = 0.6  # inches of a legend's column beside its names
ENDINGS = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Style:
    """Sizes of a figure: lengths in inches, letters in points, `line` what line widths are multiplied by."""

    name: str
    columns: int  # panels side by side, at most
    panel: tuple[float, float]  # width and height of one of several panels
    alone: tuple[float, float]  # of the only one
    points: float
    small: float  # points of legends and of what is written into a panel
    line: float
    dpi: int
    titled: bool  # whether there is a title; else its text stands over the legend

    def columns_of(self, panels: int) -> int:
        """How many of so many panels stand side by side; four make a square."""
        return min(self.columns, 2 if panels == 4 else panels)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Where figures are made and written: matplotlib's defaults but for this style's sizes."""
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
    """A figure with so many panels, filled row by row, high enough to be `square` where they must.

    As many stand side by side as the style has `columns`, unless that is given. `shared` is what matplotlib's
    subplots() takes.
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
    """Leave axes' texts only where no other panel stands beneath, or to the left: for panels that share both axes."""
    for place, axes in enumerate(found):
        columns = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
        lowest, first = place + columns >= len(found), place % columns == 0
        axes.tick_params(labelbottom=lowest, labelleft=first)
        axes.set(xlabel=axes.get_xlabel() if lowest else "", ylabel=axes.get_ylabel() if first else "")


def explain(drawing: Figure, style: Style, about: str, handles: Sequence[Artist] = (), *, columns: int = 2) -> None:
    """Say what a figure shows, in its title or over its legend; it grows by what is written outside its panels.

    The legend stands below the panels, in as many `columns` as its names leave room for. A figure that has neither
    legend nor title has the text there.
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
    """How many lines a legend of these names has, in so many columns of a figure so wide, and its longest name."""
    heights = [wrapped(name, style, width / columns - _HANDLE).count("\n") + 1 for name in names]
    larger, rest = divmod(len(heights), columns)
    ends = list(itertools.accumulate((larger + (column < rest) for column in range(columns)), initial=0))
    return max(sum(heights[start:end]) for start, end in itertools.pairwise(ends)), max(heights)


def wrapped(text: str, style: Style, inches: float) -> str:
    """The text, made printable, in lines no wider than so many inches; the rest of a text without end is left out."""
    letters = max(8, _letters(inches, style))
    return "\n".join(textwrap.wrap(plain(text), letters, max_lines=8, placeholder=" ...", break_on_hyphens=False))


def _letters(inches: float, style: Style) -> int:
    return int(inches * 72 / (0.62 * style.points))


def plain(text: str) -> str:
    """Text from outside on one line, with what cannot be printed shown as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))


def look(number: int) -> dict[str, Any]:
    """The colour and the dash of the line with that number, from 0; no two of LOOKS lines look the same.

    Where colours and dashes do not suffice, a line has a marker as well, here and there.
    """
    line = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}
    again = number // PLAIN_LOOKS
    return {**line, "marker": MARKERS[(again - 1) % len(MARKERS)], "markevery": 0.13} if again else line


def save(drawing: Figure, path: Path, style: Style = SCREEN) -> None:
    """Write the figure as PNG, SVG or PDF, by the file's ending; the same runs give the same bytes.

    Raises RegistryError for another ending or a place that cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise RegistryError(f"`out` (={str(path)!r}) must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    dates: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    try:
        with style.applied(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
            drawing.savefig(path, dpi=style.dpi, metadata=dates[ending])
    except OSError as error:
        raise RegistryError(f"{path} cannot be written ({error.strerror or error})") from None
