"""What `kws record` shows: what to say, how loud it is, and what became of each take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.text import Text

from kws.terminal import console
from kws.terminal.listening import level_bar

_REDRAWN_SECONDS = 0.1


class Prompt:
    """A line at the bottom that is drawn again and again."""

    def __init__(self, live: Live) -> None:
        self._live, self._drawn, self._shown = live, 0.0, ""

    def show(self, what: str, level_db: float) -> None:
        """Draw what is to be done and how loud it is (dB of full scale), at most ten times a second."""
        now = time.monotonic()
        if what != self._shown or now - self._drawn >= _REDRAWN_SECONDS:
            self._drawn, self._shown = now, what
            self._live.update(Text(f"{level_bar(level_db)}  {what}"), refresh=True)

    def say(self, message: str) -> None:
        """Print a line above."""
        console.paragraph(self._live.console, message, indent=2)


def has_screen() -> bool:
    """Whether stderr is a terminal, where a prompt can be drawn."""
    return console.err().is_interactive


@contextmanager
def prompt() -> Iterator[Prompt]:
    """A prompt on stderr while the body runs, which is gone afterwards."""
    with Live(console=console.err(), auto_refresh=False, transient=True) as live:
        yield Prompt(live)
