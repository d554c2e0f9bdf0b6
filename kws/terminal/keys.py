"""Keys that are pressed while something else goes on: read one by one, without an Enter behind them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENTER = "\n"


def has_keys() -> bool:
    """Whether there is a keyboard: stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def keys() -> Iterator[Callable[[], str | None]]:
    """A function that gives the key that was pressed since it was last called, in lower case; None if there was none.

    The terminal is as it was afterwards. It needs has_keys().
    """
    try:
        import termios
        import tty
    except ImportError:  # Windows
        yield _pressed_in_windows
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSANOW)  # Ctrl-C is a signal still
        yield lambda: _pressed(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pressed(terminal: int) -> str | None:
    import select

    if not select.select([terminal], [], [], 0)[0]:
        return None
    pressed = os.read(terminal, 1024).decode("utf-8", "replace")
    return pressed[-1:].lower().replace("\r", ENTER) or "q"  # the terminal's end


def _pressed_in_windows() -> str | None:
    import msvcrt

    return msvcrt.getwch().lower().replace("\r", ENTER) if msvcrt.kbhit() else None  # type: ignore[attr-defined]
