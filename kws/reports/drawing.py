"""Defines how every figure looks and how it is saved: its colours, its two styles, its panels and its file.

Decisions:
- Colours are Okabe and Ito's, which colour-blind readers can distinguish. Lines also differ in dash or markers, so that
  they can be told apart in grey print.
- On screen every figure is as wide as any other, 8 in, and no letter is smaller than 11 pt: pages show it 800 pixels
  wide, and capitals are then 11 pixels high.
- On screen a figure has a title. In a paper it is one column wide and has the caption's font size. The text of its
  caption does not stand in it; `kws plot` prints it. The file's description has that text in either style.
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
from io import BytesIO
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
LOOKS = math.lcm(len(COLOURS), len(DASHES) * (1 + len(MARKERS)))
_NARROW = 20  # letters of long names that must fit a legend's column
_HANDLE = 0.6  # inches of a legend's column besides its names
_DARKER = 0.62  # letters have at least a contrast of 4.5 on white then
_BELOW = 3.0
_LEAST_RANGE = 5.0  # percentage points
ENDINGS = (".png", ".svg", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Style:
    """The sizes of a figure: lengths in inches, font sizes in points; `line` scales all line widths."""

    name: str
    columns: int  # most panels side by side
    width: float  # of every figure
    panel: float  # height of one of several panels
    alone: float  # height of a single panel
    beside: float  # width of the names beside a panel
    points: float
    small: float  # points, in legends and inside panels
    line: float
    dpi: int
    titled: bool  # whether there is a title

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The context in which figures are made and written: matplotlib's defaults with this style's sizes."""
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(
                {
                    "font.size": self.points,
                    "axes.titlesize": "medium",
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
    columns=2,
    width=8.0,
    panel=3.6,
    alone=4.6,
    beside=2.2,
    points=12,
    small=11,
    line=1.0,
    dpi=200,
    titled=True,
)
PAPER = Style(
    name="paper",
    columns=1,
    width=3.3,
    panel=1.9,
    alone=2.5,
    beside=1.2,
    points=8,
    small=8,
    line=0.6,
    dpi=300,
    titled=False,
)
STYLES = {style.name: style for style in (SCREEN, PAPER)}


def panels(
    style: Style, count: int, *, height: float | None = None, columns: int | None = None, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, filled row by row, each of that height in inches.

    The style says how many stand side by side and how high they are, unless `columns` and `height` are given. `shared`
    is passed to matplotlib's subplots().
    """
    from matplotlib.figure import Figure

    columns = columns or min(style.columns, count)
    rows = -(-count // columns)
    height = height or (style.alone if count == 1 else style.panel)
    drawing = Figure(figsize=(style.width, height * rows), layout="constrained")
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
    """Say what a figure shows: in its title, or in a paper in its caption; it grows by the text outside its panels.

    The legend is below the panels, in as many columns as its names leave room for, at most `columns`.
    """
    width = drawing.get_figwidth()
    drawing.set_label(plain(about))
    text = wrapped(about, style, width) if style.titled else ""
    side_by_side, height = 1, len(text.splitlines()) * 1.45 * style.points
    if handles:
        names = [str(handle.get_label()) for handle in handles]
        most = min(columns, len(names))
        room = min(max(map(len, names)), _NARROW)  # letters
        fitting = [number for number in range(most, 1, -1) if _letters(width / number - _HANDLE, style) >= room]
        side_by_side = min([*fitting, 1], key=lambda number: _lines(names, style, width, number))
        legend, _ = _lines(names, style, width, side_by_side)
        entries = -(-len(names) // side_by_side)
        height += max(legend * 1.45 * style.points, (legend * 1.23 + entries * 0.5) * style.small) + style.points
        for handle, name in zip(handles, names, strict=True):
            handle.set_label(wrapped(name, style, width / side_by_side - _HANDLE))
    drawing.set_figheight(drawing.get_figheight() + height / 72)
    if text:
        drawing.suptitle(text)
    if handles:
        drawing.legend(
            handles=list(handles),
            loc="outside lower center",
            ncols=side_by_side,
            frameon=False,
            alignment="left",
        )


def caption(drawing: Figure) -> str:
    """What explain() said of this figure, on one line."""
    return str(drawing.get_label())


def _lines(names: Sequence[str], style: Style, width: float, columns: int) -> tuple[int, int]:
    """How many lines a legend of these names takes in `columns` columns of a figure, and its longest name.

    `width` is that of the figure in inches.
    """
    heights = [wrapped(name, style, width / columns - _HANDLE).count("\n") + 1 for name in names]
    larger, rest = divmod(len(heights), columns)
    ends = list(itertools.accumulate((larger + (column < rest) for column in range(columns)), initial=0))
    return max(sum(heights[start:end]) for start, end in itertools.pairwise(ends)), max(heights)


def wrapped(text: str, style: Style, inches: float) -> str:
    """The text, made printable, in lines of at most `inches`; text beyond eight lines is cut off.

    A per cent sign stays with its number.
    """
    letters = max(8, _letters(inches, style))
    whole = plain(text).replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(whole, letters, max_lines=8, placeholder=" ...", break_on_hyphens=False)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def _letters(inches: float, style: Style) -> int:
    return int(inches * 72 / (0.62 * style.points))


def plain(text: str) -> str:
    """Text from outside on one line, with unprintable characters shown as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))


def look(number: int) -> dict[str, Any]:
    """The colour, the dash and the markers of line `number`, counted from 0; no two of LOOKS lines look the same.

    The first lines differ in their dashes and have no markers. When dashes do not suffice, a line has markers at
    intervals, so that also in grey the first 32 differ.
    """
    again = number // len(DASHES) % (1 + len(MARKERS))
    line = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number % len(DASHES)]}
    return {**line, "marker": MARKERS[again - 1], "markevery": 0.13} if again else line


def ink(colour: str) -> tuple[float, ...]:
    """A colour as one that letters can be read in: as of a line, but darker."""
    from matplotlib.colors import to_rgb

    return tuple(_DARKER * part for part in to_rgb(colour))


def lay_out(drawing: Figure) -> None:
    """Put everything in its place, as it is written later, so that its extent can be asked for."""
    with _missing_glyphs():
        drawing.draw_without_rendering()


def accuracy_from(last: Sequence[float], first: float) -> float:
    """Where an axis of accuracies over time begins, in percent: near enough to the last ones that they differ.

    Lines come from far below, where nothing is compared: below the lowest of the last accuracies there is room for
    _BELOW times what lies between them, down to `first`, the lowest accuracy of all.
    """
    lowest = min(last)
    return max(lowest - _BELOW * max(max(last) - lowest, _LEAST_RANGE), first - 1, 0.0)


def save(drawing: Figure, path: Path, style: Style = SCREEN) -> None:
    """Write the figure as PNG, SVG or PDF, by the file's suffix; the same runs give the same bytes.

    Raises RegistryError if the suffix is another, or if the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise RegistryError(f"`out` (={str(path)!r}) must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    said = caption(drawing)
    about: dict[str, dict[str, str | None]] = {
        ".svg": {"Date": None, "Description": said},
        ".pdf": {"CreationDate": None, "Subject": said},
    }
    made = BytesIO()
    with style.applied(), _missing_glyphs():
        drawing.savefig(made, format=ending[1:], dpi=style.dpi, metadata=about.get(ending))
    content = _small(made, style, said) if ending == ".png" else made.getvalue()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RegistryError(f"{path} cannot be written ({error.strerror or error})") from None


@contextmanager
def _missing_glyphs() -> Iterator[None]:
    """The context in which a box is drawn for a letter that the font lacks, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _small(made: BytesIO, style: Style, said: str) -> bytes:
    """The PNG with a palette of 256 colours, which is less than half as large and looks the same."""
    from PIL import Image, PngImagePlugin

    with Image.open(made) as image:
        few = image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    about = PngImagePlugin.PngInfo()
    about.add_itxt("Description", said)
    written = BytesIO()
    few.save(written, "png", optimize=True, pnginfo=about, dpi=(style.dpi, style.dpi))
    return written.getvalue()
