"""For tests that wait for other processes: time counts only while the machine rests, for then nothing gets on.

On a machine that does other work as well, or that trains with all it has, a clock would fail what is only slow.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

SECONDS = 60.0
_LONGEST = 10  # times as long in all, so that what goes round in circles ends, too


class Patience:
    """So many seconds of a machine at rest; of busy ones, ten times as many."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._left = seconds
        self._until = time.monotonic() + _LONGEST * seconds
        self._seen = self._look()

    def is_left(self) -> bool:
        """Whether there is any left; ask often."""
        before, self._seen = self._seen, self._look()
        passed, idle = (now - then for now, then in zip(self._seen, before, strict=True))
        self._left -= min(idle, passed)
        return self._left > 0 and time.monotonic() < self._until

    @staticmethod
    def _look() -> tuple[float, float]:
        """The clock, and for how many seconds a processor has rested, on average."""
        now = time.monotonic()
        try:
            with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123
                ticks = int(file.readline().split()[4])
        except OSError:  # not Linux: each second counts
            return now, now
        processors = os.cpu_count() or 1
        return now, ticks / os.sysconf("SC_CLK_TCK") / processors


def until(condition: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = SECONDS) -> None:
    """Wait until something is so, while a process, if one is given, runs."""
    patience = Patience(seconds)
    while not condition():
        assert process is None or process.poll() is None, process.stderr.read()
        assert patience.is_left(), "nothing gets on"
        time.sleep(0.05)


def ended(process: subprocess.Popen, seconds: float = SECONDS) -> tuple[str, str]:
    """What a process has written to stdout and stderr when it has ended."""
    patience = Patience(seconds)
    while True:
        try:
            return process.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            assert patience.is_left(), "nothing gets on"
