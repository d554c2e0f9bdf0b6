"""Descriptors of the files that this process has open with SQLite: which there are, and some to read them with.

Whoever closes a descriptor of a file drops every lock that the process has on it (POSIX), those of SQLite among them.
So a file that is open is not opened and closed beside that, and a descriptor to read it with stays as long as it does.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kws.registry.wal import SHARED, open_bare

Inode = tuple[int, int]  # (device, inode)
NOTHING = (0, 0)
opened: Counter[Inode] = Counter()  # the files, and their -shm files, that this process has open
opening = threading.Lock()  # of all that this module has
_read: dict[Inode, int] = {}
_being_opened = 0  # by SQLite, which has locks on their -shm files before these are in `opened`
_checkpoints: dict[Inode, threading.RLock] = {}
_LOCK = """
import fcntl, os, sys
file, start, length = map(int, sys.argv[1:])
fcntl.lockf(file, fcntl.LOCK_SH, length, start)
try:
    os.write(1, b"!")
    sys.stdin.read()
except OSError:
    pass  # whoever has begun this was killed
"""


def inode(path: Path) -> Inode:
    """The file that the path leads to; NOTHING if there is none."""
    try:
        about = path.stat()
    except OSError:
        return NOTHING
    return about.st_dev, about.st_ino


def descriptor(path: Path) -> int:
    """A descriptor of a file that this process has open, which stays open as long as that does. Raises OSError.

    Where it may be, the file is opened for writing, too: without that no lock can keep others out.
    """
    if (it := inode(path)) not in _read:
        try:
            _read[it] = open_bare(path, os.O_RDWR)
        except OSError:
            _read[it] = open_bare(path)
    return _read[it]


@contextmanager
def being_opened(it: Inode) -> Iterator[None]:
    """While SQLite opens a file no descriptor is closed: with it would go the locks that SQLite has just taken."""
    global _being_opened
    counted = it != NOTHING
    with opening:
        opened[it] += counted
        _being_opened += 1
    try:
        yield
    finally:
        with opening:
            opened[it] -= counted
            _being_opened -= 1
            close_unused()


def close_unused() -> None:
    """Close the descriptors of files that are not open any more; to be called under the lock `opening`."""
    if not _being_opened:
        for each in [each for each in _read if opened[each] <= 0]:
            os.close(_read.pop(each))


def checkpoints(shared: Path) -> threading.RLock:
    """A lock that keeps the threads of this process from checkpoints of the log whose -shm this is.

    SQLite's lock on that is the process's, and so keeps out other processes alone; and whichever thread lets it go
    takes it from all.
    """
    with opening:
        return _checkpoints.setdefault(inode(shared), threading.RLock())


@contextmanager
def shared(file: int | None) -> Iterator[None]:
    """Have another process open a file as SQLite does, so that nobody is the last to close it meanwhile."""
    import subprocess

    if file is None or os.name != "posix":
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", _LOCK, *map(str, (file, *SHARED))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[file]) as other:
        assert other.stdout
        other.stdout.read(1)
        yield
        other.communicate()


def _forget() -> None:
    """Reset in a forked process: as far as locks go, the parent's files are not open here."""
    global opening, _being_opened
    opening, _being_opened = threading.Lock(), 0
    opened.clear()
    _checkpoints.clear()
    close_unused()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
