"""A registry's file as SQLite opens it: where it really lies, how it can be opened, and whether it is still there.

Decisions:
- A link is followed: SQLite keeps the log beside the real file, and whether that can be written decides.
- What is open is bound to the path by device and inode of the file and its log. Where a path leads to something else,
  it is opened anew (see kws.registry.sqlite), or a run that is being recorded fails (see kws.registry.binding).
- A registry that cannot be written is read together with its log, if it has one, and else as it lies there. What was
  opened so is opened anew when anything has changed, for others may write where we may not.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

from kws.errors import RegistryError
from kws.registry.wal import foreign_log, in_use

BUSY_SECONDS = 30
_TRIES = 5
_LONG_LOG = 4_000_000  # bytes; SQLite writes the log into the file once it has 1,000 pages
_HEADER = b"SQLite format 3\x00"
_IN_WAL = b"\x02"  # the byte after that and the size of a page, where the file's changes are written to a log
_CANNOT_OPEN = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)

Stamp = tuple[int, ...]  # what tells a file from others, and when it was written; () for none

Inode = tuple[int, int]  # with the device before it
_NOTHING = (0, 0)
_open: Counter[Inode] = Counter()  # what this process has open: files, and their -shm
_opening = threading.Lock()


def _forget() -> None:
    """In a forked process: what the other one has open is not open here, as far as locks go."""
    global _opening
    _opening = threading.Lock()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class File(sqlite3.Connection):
    """A connection to a registry's file; `path` is the name that was given, `real` what that led to."""

    path: Path
    real: Path
    fixed = False  # whether it is only right as long as nothing is written
    stamps: tuple[Stamp, ...] = ()  # of what is open: the file and its log
    written: Stamp = ()  # of the file, when all that was written to it was known to be its own
    _held: tuple[Inode, ...] = ()

    def is_current(self) -> bool:
        """Whether the path still leads to what is open, log and all."""
        return bool(self.stamps) and self.look() == self.stamps

    def look(self) -> tuple[Stamp, ...]:
        """What the path and the name of the log lead to now."""
        return stamp(self.path, written=self.fixed), stamp(f"{self.real}-wal", written=self.fixed)

    def is_as_it_was(self) -> bool:
        """Whether nothing was written to the file itself since, be it a checkpoint or another file over it."""
        return stamp(self.real, written=True) == self.written

    def trust(self) -> None:
        """Take all that was written to the file for its own."""
        self.written = stamp(self.real, written=True)

    def write_log(self) -> bool:
        """Write all commits into the file, as far as no reader needs it as it was; whether all were."""
        try:
            busy, commits, written = self.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return not busy and commits == written

    def trust_own_checkpoint(self) -> None:
        """After a commit: trust the file as it is now if the log is long enough for SQLite to have written it there."""
        with suppress(OSError):
            if os.stat(f"{self.real}-wal").st_size >= _LONG_LOG:  # noqa: PTH116
                self.trust()

    def bind(self) -> None:
        """Take what the path leads to now for what is open."""
        self.stamps = self.look()
        self.trust()
        self._hold(_inode(self.real), _inode(Path(f"{self.real}-shm")))

    def close(self) -> None:
        """Close the file; the last to do so writes the log into it and leaves nothing beside it."""
        self.stamps = ()
        super().close()
        self._hold()

    def leave(self, *, written_over: bool = False) -> None:
        """Close a file so that its log is never mixed with what is under its name now.

        A file that was moved has all of its log then. Where it was perhaps written over, the log stays as it is, for
        whoever opens the file next to tell; where that is sure it is moved to -wal.old.
        """
        log, shared = Path(f"{self.real}-wal"), Path(f"{self.real}-shm")
        file, own = self.stamps or ((), ())
        has_its_name = stamp(self.real) == file
        if not self.fixed and own and stamp(log) == own:
            with suppress(OSError, sqlite3.Error):
                if written_over:
                    shutil.copy2(log, f"{log}.old")
                    os.truncate(log, 0)  # so that closing does not write it into the file
                elif has_its_name and not self.is_as_it_was():
                    self._close_without_writing()
                    return
                elif not has_its_name:
                    self.write_log()
                if written_over or not has_its_name:
                    log.unlink()
                    shared.unlink()
        self.close()

    def _close_without_writing(self) -> None:
        """Close the file as somebody who may only read does: the log stays as it is."""
        with closing(sqlite3.connect(f"{self.real.as_uri()}?mode=ro", uri=True)) as reader:
            reader.execute("PRAGMA schema_version").fetchone()
            self.close()

    def _hold(self, *inodes: Inode) -> None:
        with _opening:
            _open.subtract(self._held)
            self._held = tuple(each for each in inodes if each != _NOTHING)
            _open.update(self._held)


def stamp(path: Path | str, *, written: bool = False) -> Stamp:
    """Device and inode of a file, with `written` its size and time, too; () where it is not there."""
    try:
        about = os.stat(path)  # noqa: PTH116 - each record looks some times
    except OSError:
        return ()
    return (about.st_dev, about.st_ino, *((about.st_size, about.st_mtime_ns) if written else ()))


def real_path(path: Path) -> Path:
    """What a path leads to, links followed."""
    return Path(os.path.realpath(path))


def is_writable(path: Path) -> bool:
    """Whether the file, and what SQLite puts beside it, can be written."""
    real = real_path(path)
    return os.access(real.parent, os.W_OK) and (not real.exists() or os.access(real, os.W_OK))


def open_file(path: Path, *, make: bool = True) -> File:
    """A connection to the file; with `make` it is made where there is none.

    Raises RegistryError where the log beside it is not its own, and sqlite3.Error.
    """
    real = real_path(path)
    for left in reversed(range(_TRIES)):
        with _opening:
            it, in_wal = _inode(real), True
            if not _open[it]:  # what this process has open may not be opened and closed once more
                if why := _foreign(real):
                    raise RegistryError(why)
                it = it if it != _NOTHING or not make else _made(real)
                in_wal = _reads_as_wal(real)
            _open[it] += it != _NOTHING
        try:
            connection = _connect(path, real, in_wal=in_wal, make=make)
        finally:
            with _opening:
                _open[it] -= it != _NOTHING
        if _inode(real) == it or not left:
            break
        connection.close()  # another one took its place meanwhile
    return connection


def _made(real: Path) -> Inode:
    """The inode of a file that was not there; it is made, empty, as SQLite would, if it can be."""
    with suppress(OSError):
        if is_writable(real):
            real.touch()
    return _inode(real)


def _foreign(real: Path) -> str | None:
    """Why the log beside a file that this process does not have open is not the file's own."""
    if _open[_inode(Path(f"{real}-shm"))]:
        return in_use(real, "this process")
    return foreign_log(real)


def _connect(path: Path, real: Path, *, in_wal: bool, make: bool) -> File:
    if is_writable(real):
        return _opened(path, real, "mode=rwc" if make else "mode=rw")
    # Beside a writer whose log is there, SQLite can share it; without one, it would have to make a file.
    if not in_wal or Path(f"{real}-wal").exists():
        try:
            return _opened(path, real, "mode=ro")
        except sqlite3.OperationalError as error:
            if not in_wal or primary(error) not in _CANNOT_OPEN:
                raise
    return _opened_as_it_lies(path, real)


def _opened_as_it_lies(path: Path, real: Path) -> File:
    """A file that cannot be written, nor what is shared with a writer: with its log, whose index is kept in memory."""
    with suppress(OSError):
        if Path(f"{real}-wal").stat().st_size:
            return _opened(path, real, "mode=ro&vfs=unix-none", exclusive=True)
    return _opened(path, real, "mode=ro&immutable=1")


def _opened(path: Path, real: Path, mode: str, *, exclusive: bool = False) -> File:
    # Path.as_uri quotes what a file's name may hold and a URI may not.
    connection = sqlite3.connect(
        f"{real.as_uri()}?{mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=File,
    )
    connection.path, connection.real = path, real
    connection.fixed = exclusive or "immutable" in mode
    try:
        if connection.fixed:
            connection.bind()  # before anything is read, so that what is written meanwhile is seen
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")  # a file from elsewhere may hold more than tables
        connection.execute("PRAGMA schema_version").fetchone()  # opens the log
        if not connection.fixed:
            connection.bind()
    except BaseException:
        connection.close()
        raise
    return connection


def primary(error: sqlite3.Error) -> int | None:
    """SQLite's code of an error, without what it says of it more closely; None where the error is not SQLite's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _inode(path: Path) -> Inode:
    try:
        about = path.stat()
    except OSError:
        return _NOTHING
    return about.st_dev, about.st_ino


def _reads_as_wal(real: Path) -> bool:
    """Whether the file says of itself that its changes are in a log."""
    try:
        with real.open("rb") as file:
            header = file.read(20)
    except OSError:
        return True
    return header[len(_HEADER) + 3 : len(_HEADER) + 4] == _IN_WAL
