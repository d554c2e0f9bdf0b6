"""How a command is ended from outside: Ctrl-C and SIGTERM are alike, but for the exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


class Stopped(BaseException):
    """A run was interrupted, the registry has it, and the command ends with this exit code."""

    def __init__(self, stop: KeyboardInterrupt) -> None:
        self.exit_code = 143 if isinstance(stop, Terminated) else 130


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the body as Ctrl-C does."""

    def stop(*_: Any) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, which alone hears signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
