"""Opens a registry's file with SQLite: its real path, the mode to open it in, and whether it is still in place.

Decisions:
- Links are followed: SQLite keeps the log beside the real file, so the real file decides whether we can write.
- An open file is bound to the path by device and inode of the file and its log. If the path leads to something else,
  the file is reopened (see kws.registry.sqlite), or the run being recorded fails (see kws.registry.binding).
- A read-only registry is read together with its log if it has one, otherwise as it is on disk. It is reopened
  whenever anything has changed, because others may be able to write it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from kws.errors import RegistryError
from kws.registry import descriptors
from kws.registry.stamps import Stamp, stamp
from kws.registry.turns import turn
from kws.registry.wal import foreign_log, in_use, is_foreign, is_long, no_checkpoint, state_of

BUSY_SECONDS = 30
_TRIES = 5
_AGAIN_SECONDS = 0.05
_HEADER = b"SQLite format 3\x00"
_IN_WAL = b"\x02"  # the byte after the magic and the page size; this value means WAL mode
_TELL_BASE = """
INSERT INTO log_base (key, state) VALUES (1, ?)
ON CONFLICT (key) DO UPDATE SET state = excluded.state WHERE state <> excluded.state
"""
_CANNOT_OPEN = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_AT_ONCE = (256, 16, 1)  # rows of a statement: between any two another thread of Python may keep this one waiting


class File(sqlite3.Connection):
    """A connection to a registry's file; `path` is the path that was given, `real` the path with links resolved."""

    path: Path
    real: Path
    fixed = False  # whether the connection is valid only as long as nobody writes the file
    stamps: tuple[Stamp, ...] = ()  # of the open file and its log
    written: Stamp = ()  # of the file, when every write to it was last known to be legitimate
    _held: tuple[descriptors.Inode, ...] = ()
    _file: int | None = None  # a descriptor of the file, wherever it is now
    _index: int | None = None  # a descriptor of the -shm
    _threads: AbstractContextManager[object] = nullcontext()  # keeps the threads of this process from checkpoints

    def counts(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> list[int]:
        """Run one statement for each set of parameters; returns how many rows each changed."""
        return [self.execute(sql, each).rowcount for each in parameters]

    def returned(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> list[Any]:
        """Run one statement for each set of parameters; returns the row that each returns."""
        return [row for each in parameters for row in self.execute(sql, each).fetchall()]

    def fill(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Insert many new rows, given the values of these columns."""
        left = deque(rows)
        for size in _AT_ONCE:
            sql = _filling(table, tuple(names), size)
            while len(left) >= size:
                self.execute(sql, tuple(chain.from_iterable(left.popleft() for _ in range(size))))

    def stream(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> sqlite3.Cursor:
        """The rows of a query as they come; see kws.registry.protocols.Reading."""
        return self.execute(sql, parameters or {})

    def is_current(self) -> bool:
        """Whether the path still leads to the open file and its log."""
        return bool(self.stamps) and self.look() == self.stamps

    def look(self) -> tuple[Stamp, ...]:
        """The stamps of what the path and the log's name lead to now."""
        return stamp(self.path, written=self.fixed), stamp(f"{self.real}-wal", written=self.fixed)

    def is_as_it_was(self) -> bool:
        """Whether the file itself is unchanged since trust(): no checkpoint, and no other file written over it."""
        return stamp(self.real, written=True) == self.written

    def is_untouched(self) -> bool:
        """Whether the open file, wherever it is now, is as it was when it was last trusted."""
        if self._file is None:
            return self.is_as_it_was()
        about = os.fstat(self._file)
        return (about.st_size, about.st_mtime_ns) == self.written[2:]

    def has_its_log(self) -> bool:
        """Whether the open file is the one that its log was written for, as far as their content tells.

        True if there is no log. Only in a transaction that writes is it sure that nobody has just begun to write one.
        """
        log = Path(f"{self.real}-wal")
        with descriptors.opening, suppress(OSError):
            file = descriptors.descriptor(self.real) if self._file is None else self._file
            return not is_foreign(file, log, descriptors.descriptor(Path(f"{self.real}-shm")), in_use=True)
        return not log.exists()

    def is_told(self, seen: Stamp) -> bool:
        """In a transaction that writes: whether the last commit built on the file as it was with this stamp.

        Whoever made that commit had looked whether the log belongs to the file, and nobody has written it since.
        """
        row = self.execute("SELECT state FROM log_base").fetchone()
        return row is not None and row[0] == _told(seen)

    def turn(self) -> AbstractContextManager[None]:
        """A turn to write, once the processes that came before have had theirs."""
        return turn(self._index, BUSY_SECONDS)

    @contextmanager
    def without_checkpoints(self) -> Iterator[None]:
        """In a transaction that writes: nobody else writes the file, whose state its commit tells, until its end.

        A checkpoint needs no write lock, and so may come between the two.
        """
        with self._threads, no_checkpoint(self._index, BUSY_SECONDS):
            yield

    def disown_log(self) -> None:
        """Let whoever opens the file next be told of its log, if that is another file's; of it nothing is lost."""
        for _ in range(_TRIES):
            if self.has_its_log():
                return
            time.sleep(_AGAIN_SECONDS)
        with suppress(OSError):
            before = Path(self.real).stat().st_mtime_ns - 1
            os.utime(f"{self.real}-wal", ns=(before, before))

    def trust(self, seen: Stamp | None = None) -> None:
        """Accept everything written to the file so far, or until it had the stamp `seen`, as legitimate.

        Where there is no file, nothing is accepted.
        """
        self.written = (stamp(self.real, written=True) if seen is None else seen) or self.written

    def tell_base(self, seen: Stamp | None = None) -> None:
        """In a transaction: record the state of the file that its commit builds on, as last trusted or as `seen`."""
        self.execute(_TELL_BASE, (_told(seen or self.written),))

    def write_log(self) -> bool:
        """Checkpoint commits from the log into the file, as far as readers allow; returns whether all were written."""
        try:
            with self._threads:
                busy, commits, written = self.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return not busy and commits == written

    def empty_log(self) -> None:
        """Checkpoint all commits and cut the log down to nothing, unless somebody still reads it."""
        with self._threads:
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def write_long_log(self) -> None:
        """After a commit: checkpoint a long log, if nobody else has written the file since trust().

        SQLite does not do so by itself here: it would at the end of the commit, after a wait for the disk in which
        another file may have been written over this one.
        """
        if self._index is not None and is_long(self._index) and self.is_current() and self.is_as_it_was():
            self.write_log()
            self.trust()

    def bind(self) -> None:
        """Bind the connection to what the path leads to now."""
        self.stamps = self.look()
        self.trust()
        index = Path(f"{self.real}-shm")
        self._hold(descriptors.inode(self.real), descriptors.inode(index))
        self._threads, self._index = descriptors.checkpoints(index), None
        with descriptors.opening, suppress(OSError):
            self._file = descriptors.descriptor(self.real)
            self._index = descriptors.descriptor(index)

    def close(self) -> None:
        """Close the file; the last process to do so checkpoints the log into it and leaves nothing beside it.

        If the log was removed or replaced, SQLite would remove what has its name now: the log of others.
        """
        _, own = self.stamps or ((), ())
        is_gone = not self.fixed and own and stamp(f"{self.real}-wal") != own
        self.stamps = ()
        with descriptors.shared(self._file) if is_gone else nullcontext():
            super().close()
        self._index = None
        self._hold()

    def leave(self, *, written_over: bool = False) -> None:
        """Close a file so that its log is never mixed with the file that has its name now.

        If the file was moved, its log is first written into it. If it may have been overwritten, the log stays as it
        is, and whoever opens the file next decides whether it belongs to it. If it surely was (`written_over`, or
        before it was moved), the log is moved to -wal.old.
        """
        log, shared = Path(f"{self.real}-wal"), Path(f"{self.real}-shm")
        file, own = self.stamps or ((), ())
        has_its_name = stamp(self.real) == file
        if not self.fixed and own and stamp(log) == own:
            with suppress(OSError, sqlite3.Error):
                written_over = written_over or not (has_its_name or self.is_untouched() or self.has_its_log())
                if written_over:
                    if log.stat().st_size:  # else another process that gives the file up has just moved it
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
        """Close the file as a read-only connection does: the log stays as it is."""
        with closing(sqlite3.connect(f"{self.real.as_uri()}?mode=ro", uri=True)) as reader:
            reader.execute("PRAGMA schema_version").fetchone()
            self.close()

    def _hold(self, *inodes: descriptors.Inode) -> None:
        with descriptors.opening:
            descriptors.opened.subtract(self._held)
            self._held = tuple(each for each in inodes if each != descriptors.NOTHING)
            descriptors.opened.update(self._held)
            descriptors.close_unused()


@lru_cache(64)
def _filling(table: str, names: tuple[str, ...], rows: int) -> str:
    places = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([places] * rows)}"  # noqa: S608 - our names


def _told(seen: Stamp) -> str:
    """How a log tells of a file with this stamp."""
    *_, size, modified_ns = seen
    return state_of(modified_ns, size)


def real_path(path: Path) -> Path:
    """A path with all links resolved."""
    return Path(os.path.realpath(path))


def is_writable(path: Path) -> bool:
    """Whether the file and the files that SQLite keeps beside it can be written."""
    real = real_path(path)
    return os.access(real.parent, os.W_OK) and (not real.exists() or os.access(real, os.W_OK))


def open_file(path: Path, *, make: bool = False) -> File:
    """A connection to the file; with `make` it is created if there is none.

    Raises RegistryError if the log beside it is not its own, and sqlite3.Error.
    """
    real = real_path(path)
    for left in reversed(range(_TRIES)):
        with descriptors.opening:
            it, in_wal = descriptors.inode(real), True
            if not descriptors.opened[it]:  # closing a second handle would drop this process's locks
                if why := _foreign(real):
                    raise RegistryError(why)
                it = it if it != descriptors.NOTHING or not make else _made(real)
                in_wal = _reads_as_wal(real)
        with descriptors.being_opened(it):
            connection = _connect(path, real, in_wal=in_wal, make=make)
        if descriptors.inode(real) == it or not left:
            break
        connection.close()  # another file took its place meanwhile
    return connection


def _made(real: Path) -> descriptors.Inode:
    """Create a missing file, empty as SQLite would, if possible; returns its inode."""
    with suppress(OSError):
        if is_writable(real):
            real.touch()
    return descriptors.inode(real)


def _foreign(real: Path) -> str | None:
    """Why the log beside a file that this process does not have open is foreign; None if it is not."""
    if descriptors.opened[descriptors.inode(Path(f"{real}-shm"))]:
        return in_use(real, "this process")
    return foreign_log(real)


def _connect(path: Path, real: Path, *, in_wal: bool, make: bool) -> File:
    if is_writable(real):
        return _opened(path, real, "mode=rwc" if make else "mode=rw")
    # If a writer's log exists, SQLite can share it; without one, it would have to create a file.
    if not in_wal or Path(f"{real}-wal").exists():
        try:
            return _opened(path, real, "mode=ro")
        except sqlite3.OperationalError as error:
            if not in_wal or primary(error) not in _CANNOT_OPEN:
                raise
    return _opened_as_it_lies(path, real)


def _opened_as_it_lies(path: Path, real: Path) -> File:
    """Open a file where neither it nor the shared -shm can be written; its log, if any, is indexed in memory."""
    with suppress(OSError):
        if Path(f"{real}-wal").stat().st_size:
            return _opened(path, real, "mode=ro&vfs=unix-none", exclusive=True)
    return _opened(path, real, "mode=ro&immutable=1")


def _opened(path: Path, real: Path, mode: str, *, exclusive: bool = False) -> File:
    # Path.as_uri quotes characters that a file name may contain and a URI may not.
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
            connection.bind()  # before anything is read, so that concurrent writes are noticed
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see write_long_log
        connection.execute("PRAGMA trusted_schema = OFF")  # a file from elsewhere may contain more than tables
        connection.execute("PRAGMA schema_version").fetchone()  # opens the log
        if not connection.fixed:
            connection.bind()
    except BaseException:
        connection.close()
        raise
    return connection


def primary(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code of an error; None if the error is not SQLite's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _reads_as_wal(real: Path) -> bool:
    """Whether the file's header says that it is in WAL mode; True if it cannot be read."""
    try:
        with real.open("rb") as file:
            header = file.read(20)
    except OSError:
        return True
    return header[len(_HEADER) + 3 : len(_HEADER) + 4] == _IN_WAL
