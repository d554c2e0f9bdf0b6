"""What `kws data cut` prints: where words are in a recording, what is left out and why, and on a terminal a picture."""

from __future__ import annotations

from pathlib import Path

from rich.style import Style

from kws.speech.cutting import Found, names
from kws.speech.levels import HOP_MS
from kws.terminal.braille import Curve, chart
from kws.terminal.console import out, paragraph, visible
from kws.terminal.screens import table_of

_SHOWN = 10  # pieces, unless all are asked for
_HEIGHT, _WIDEST = 9, 100
_LOUD, _BACKGROUND, _WORD = Style(color="cyan"), Style(dim=True), Style(color="green", bold=True)


def print_cut(found: Found, folder: Path | None, *, every: bool) -> None:
    """Print the pieces, or the first of them; `folder` is where the words were written, if they were."""
    console = out()
    if console.is_terminal and len(found.level):
        console.print(_picture(found, min(console.width, _WIDEST)))
    files = iter(names(found))
    table = table_of("from", "to", "seconds", "")
    shown = found.pieces if every else found.pieces[:_SHOWN]
    for piece in shown:
        what = f"left out: {piece.why}" + (f" ({piece.word})" if piece.word else "") if piece.why else next(files)
        begin, end = piece.begin_ms / 1000, piece.end_ms / 1000
        table.add_row(_clock(begin), _clock(end), f"{end - begin:.2f}", visible(what))
    if shown:
        console.print(table)

    def show(line: str) -> None:
        paragraph(console, visible(line))

    if more := len(found.pieces) - len(shown):
        show(f"{more:,} more; --list and --json have all")
    where = "" if folder is None else f", written to {folder}"
    show(f"{_counted(len(found.words), 'word')} in {_clock(found.seconds)} of {found.path}{where}")
    for why, count in found.left_out().items():
        show(f"left out, {why}: {count:,}")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _clock(seconds: float) -> str:
    """A time in a recording, as 12.34 s, 1:02.50 or 1:00:02.50."""
    minutes, rest = divmod(round(100 * seconds), 6000)
    if not minutes:
        return f"{rest / 100:.2f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest / 100:05.2f}" if hours else f"{minutes}:{rest / 100:05.2f}"


def _picture(found: Found, width: int) -> object:
    """The level over time, the background below it, and above it where words are."""
    import numpy as np

    at = np.linspace(0, len(found.level), min(2 * width, len(found.level)), endpoint=False).astype(int)
    seconds = at * HOP_MS / 1000
    loudest = np.maximum.reduceat(found.level, at)
    top = float(loudest.max()) + 3
    words = [
        Curve(points=[(piece.begin_ms / 1000, top), (piece.end_ms / 1000, top)], style=_WORD) for piece in found.words
    ]
    curves = [
        Curve(points=[*zip(seconds.tolist(), found.background[at].tolist(), strict=True)], style=_BACKGROUND),
        Curve(points=[*zip(seconds.tolist(), loudest.tolist(), strict=True)], style=_LOUD),
        *words,
    ]
    return chart("level in dB over seconds, and where words are", curves, width=width, height=_HEIGHT)
