"""The live line of `kws listen`: how loud it is, and the most probable keyword; detections stand above it.

Where stdout or stderr is no terminal, there are detections alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.text import Text

from kws.terminal import console

_REDRAWN_SECONDS = 0.1
_BAR = 20  # characters
_QUIETEST_DB = -60.0


class Line:
    """A line that is drawn again and again, or nothing."""

    def __init__(self, live: Live | None) -> None:
        self._live, self._drawn = live, 0.0
        self._level = _QUIETEST_DB

    def show(self, level_db: float, word: str, probability: float, *, lost: int) -> None:
        """Draw how loud it is now (dB of full scale) and the most probable keyword, at most ten times a second."""
        self._level = max(level_db, self._level - 1.5)  # peaks fall slowly, so that they are seen
        now = time.monotonic()
        if self._live is None or now - self._drawn < _REDRAWN_SECONDS:
            return
        self._drawn = now
        self._live.update(Text(line(self._level, word, probability, lost)), refresh=True)


def line(level_db: float, word: str, probability: float, lost: int = 0) -> str:
    """The line's text, of at most 80 characters."""
    behind = f"  {lost} blocks lost" if lost else ""
    return f"{level_bar(level_db)}  {word:<12.12} {100 * probability:5.1f} %{behind}"


def level_bar(level_db: float) -> str:
    """How loud it is, as a number and as a bar, of 32 characters."""
    full = round(_BAR * min(max((level_db - _QUIETEST_DB) / -_QUIETEST_DB, 0.0), 1.0))
    return f"{level_db:6.1f} dB |{'#' * full:<{_BAR}}|"


@contextmanager
def live_line() -> Iterator[Line]:
    """A line at the bottom of stderr while the body runs, which is gone afterwards."""
    err = console.err()
    if not (err.is_interactive and console.out().is_interactive):
        yield Line(None)
        return
    with Live(console=err, auto_refresh=False, transient=True, redirect_stdout=True) as live:
        yield Line(live)
