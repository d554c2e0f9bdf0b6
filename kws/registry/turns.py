"""Turns: the processes that want to write a registry's file stand in line for it, first come, first served.

SQLite has no line. Who finds its lock taken asks again, ever more seldom, ten times a second in the end: of many
processes the one that has waited the longest is the last to notice that it may, and asking oftener takes the processor
from those that write. A line is a lock that the system hands on. It decides nothing but the order: whoever has stood in
it for too long asks SQLite out of turn, and so does a program that knows of no line.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

_standing = threading.Lock()  # held while a thread of this process stands in a line
_LINE = (1 << 30, 1)  # (start, length) in the -shm: far behind what SQLite locks there


@contextmanager
def turn(index: int | None, seconds: float) -> Iterator[None]:
    """Have a turn once those who came before have had theirs, or after so many seconds.

    `index` is a descriptor of the -shm that stays open, if there is one. Threads of one process share a turn, and one
    of them at a time stands in line.
    """
    if index is None or fcntl is None:
        yield
        return
    try:
        _wait(index, seconds)
        yield
    finally:  # whether or not we have it, for a signal may have come between the two
        _let_go(index)


def _wait(index: int, seconds: float) -> None:
    start, length = _LINE
    try:
        fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        return
    except (BlockingIOError, PermissionError):
        pass
    except OSError:  # the file system has no locks
        return
    if not _standing.acquire(blocking=False):  # another thread does, or one that has left and cannot be called back
        return
    waiting = _Waiting(index)
    try:
        waiting.start()
        waiting.is_over.wait(seconds)
    except RuntimeError:  # there is no room for another thread
        _standing.release()
    finally:
        waiting.leave()


class _Waiting(threading.Thread):
    """Stands in line, for the system lets nobody wait for a lock and look at the clock."""

    def __init__(self, index: int) -> None:
        super().__init__(daemon=True)
        self._index, self._lock = index, threading.Lock()
        self._has_left, self.is_over = False, threading.Event()

    def run(self) -> None:
        """Wait; a turn that comes too late is passed on."""
        start, length = _LINE
        with suppress(OSError):
            fcntl.lockf(self._index, fcntl.LOCK_EX, length, start)
        with self._lock:
            if self._has_left:
                _let_go(self._index)
        _standing.release()
        self.is_over.set()

    def leave(self) -> None:
        """Leave the line, unless it is our turn."""
        with self._lock:
            self._has_left = True


def _let_go(index: int) -> None:
    start, length = _LINE
    with suppress(OSError):
        fcntl.lockf(index, fcntl.LOCK_UN, length, start)


def _forget() -> None:
    """Reset in a forked process, where no thread stands in line."""
    global _standing
    _standing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
