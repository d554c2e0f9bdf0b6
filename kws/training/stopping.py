"""How signals stop a command: Ctrl-C, SIGTERM and SIGHUP are handled alike, except for the exit code.

The first signal stops the command. SIGTERM and SIGHUP that follow at once are ignored: a closing terminal sends SIGHUP
twice, some supervisors send both, and they must not cut off what is being recorded. A second Ctrl-C is obeyed, because
the user does not want to wait.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


class HungUp(KeyboardInterrupt):
    """SIGHUP was received: the terminal was closed."""


def exit_code(stop: BaseException | None) -> int:
    """The exit code of a command that a signal stopped: 128 plus the signal's number."""
    return 143 if isinstance(stop, Terminated) else 129 if isinstance(stop, HungUp) else 130


class Stopped(BaseException):
    """A run was interrupted and recorded as such; the command ends with this exit code."""

    def __init__(self, stop: KeyboardInterrupt) -> None:
        self.exit_code = exit_code(stop)


_RAISED = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated, signal.SIGHUP: HungUp}
_AGAIN_SECONDS = 5.0  # after this long another signal counts as new: the first may have been lost


@contextmanager
def stoppable() -> Iterator[None]:
    """Make SIGTERM stop the body as Ctrl-C does, and SIGHUP too, unless it is ignored, as under nohup."""
    last = float("-inf")

    def stop(number: int, _: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if number == signal.SIGINT or now - last > _AGAIN_SECONDS:
            last = now
            raise _RAISED[signal.Signals(number)]

    before: dict[signal.Signals, Any] = {}
    try:
        for number in _RAISED:
            is_now = signal.getsignal(number)
            if number == signal.SIGTERM or is_now in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, stop)
    except ValueError:  # not the main thread, which alone receives signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
