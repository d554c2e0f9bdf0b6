"""Binding: whether what a process records is in the file at the registry's path, and not in one that was there before.

The guarantee: a run is told as finished only after its end was seen in the file at the path, through that path. Until
then each record is held to it cheaply: a look at what the path leads to, and where that has changed, a look at what is
in there of the run. A file may be removed, moved or replaced, a link be led elsewhere, or another file be written over
it. Inodes alone prove nothing, for on some mounts they change, or stay.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field

from kws.errors import RegistryError
from kws.registry.files import File, Stamp, real_path, stamp

SURE_SECONDS = 1.0  # for which nothing may change before a file is said to be another one
_LONGEST_SECONDS = 30.0
_AGAIN_SECONDS = 0.05
_WITHOUT_LOG = "mode=ro&immutable=1"
_SIGN = """
SELECT heartbeat_at FROM sessions WHERE session = :session AND run_key = (SELECT key FROM trainings WHERE id = :run)
"""


class ReplacedError(RegistryError):
    """The registry's path leads to another file than the one that a run is recorded in, or to none."""


@dataclass(frozen=True)
class Beat:
    """A session's latest heartbeats, of which the registry keeps the last; the first was seen in the file itself."""

    run: str
    session: int
    at: tuple[str, ...]

    def is_in(self, connection: sqlite3.Connection) -> bool:
        """Whether one of them is recorded there."""
        row = connection.execute(_SIGN, {"run": self.run, "session": self.session}).fetchone()
        return row is not None and row[0] in self.at

    def is_at_path(self, file: File) -> bool:
        """Whether one of them is in the file at the path.

        False, which means that another file was written over it, only after nothing has changed for SURE_SECONDS. A
        file that SQLite cannot read without its log counts as ours: a partial checkpoint leaves it so.
        """
        patience = _Patience(_look(file))
        while True:
            try:
                with closing(_opened(file)) as connection:
                    if self.is_in(connection):
                        return True
            except sqlite3.Error as error:
                if _is_half_written(error):
                    return True
            if patience.is_over(_look(file)):
                return False
            time.sleep(_AGAIN_SECONDS)


class _Patience:
    """Waits until what a path leads to has not changed for SURE_SECONDS, or for _LONGEST_SECONDS in all."""

    def __init__(self, look: tuple[Stamp, ...] = ()) -> None:
        self._look = look
        self._until = time.monotonic() + SURE_SECONDS
        self._longest = time.monotonic() + _LONGEST_SECONDS

    def is_over(self, look: tuple[Stamp, ...], *, half_written: bool = False) -> bool:
        """Whether to wait no longer; for a file that is half written it is the whole time."""
        if look != self._look:
            self._until, self._look = time.monotonic() + SURE_SECONDS, look
        return time.monotonic() > (self._longest if half_written else min(self._until, self._longest))


@dataclass
class Binding:
    """What a process has recorded of a run of its own, as far as it has to be found again: its heartbeats.

    `seen` is the number of the last one that was found in the file itself, without its log; `anchor` is one of an
    earlier run that was, which does for as long as there is none.
    """

    run: str
    session: int
    anchor: Beat | None = None
    beats: list[str] = field(default_factory=list)
    seen: int = -1
    looked: tuple[Stamp, ...] = ()  # what the path led to when all was well
    half_written: bool = False  # whether the last look was at a file that a checkpoint has left between two states

    def is_sure(self, file: File) -> bool:
        """Whether nothing has changed since the last look."""
        return self.looked != () and _look(file) == self.looked

    def last_seen(self) -> Beat | None:
        """A heartbeat that is in the file itself."""
        return Beat(self.run, self.session, tuple(self.beats[self.seen :])) if self.seen >= 0 else self.anchor

    def confirm(self, file: File, *, thoroughly: bool) -> bool:
        """Make sure of the file at the path, `thoroughly` of the last heartbeat in it; whether to open it anew.

        That must be where it is the same file by other inodes, or has another log. Raises ReplacedError where it is
        another file.
        """
        if thoroughly and self.is_sure(file) and self._look_in(file, "mode=rw")[0] == len(self.beats) - 1:
            return False
        patience = _Patience()
        while True:
            now, same = _look(file), file.is_current()
            number, anchored = self._look_in(file)
            sound = number >= self.seen and (number >= 0 or anchored)
            if same and sound and not thoroughly and (number >= 0 or self.anchor):
                self.looked, self.seen = now, number
                return False
            # The log is written into the open file, but never into one that has lost what it had already.
            if sound or not same:
                written = file.write_log()
                now = _look(file)
                if (number := self._look_in(file)[0]) == len(self.beats) - 1 and _look(file) == now:
                    self.looked, self.seen = now, number
                    return not same
                if same and not written and self._look_in(file, "mode=rw")[0] == len(self.beats) - 1:
                    return False  # a reader keeps the log from being written; it is the same file by its inode, then
            if patience.is_over(now, half_written=self.half_written):
                raise ReplacedError(f"{file.path} was {_fate(file)} while the run was recorded in it")
            time.sleep(_AGAIN_SECONDS)

    def _look_in(self, file: File, mode: str = _WITHOUT_LOG) -> tuple[int, bool]:
        """The number of the heartbeat that is in the file at the path, -1 for none; and whether the anchor is.

        A missing anchor is there.
        """
        self.half_written = False
        try:
            with closing(_opened(file, mode)) as other:
                row = other.execute(_SIGN, {"run": self.run, "session": self.session}).fetchone()
                number = len(self.beats) - 1 - self.beats[::-1].index(row[0]) if row else -1
                if number >= 0 or self.anchor is None:
                    return number, True
                return number, self.anchor.is_in(other)
        except (sqlite3.Error, ValueError) as error:  # it is not there, no registry, or just being written
            self.half_written = _is_half_written(error)
            return -1, self.anchor is None


def _is_half_written(error: Exception) -> bool:
    """Whether SQLite finds a file malformed when it is read without its log, as a partial checkpoint leaves it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def _opened(file: File, mode: str = _WITHOUT_LOG) -> sqlite3.Connection:
    """The file at the path, opened once more."""
    return sqlite3.connect(f"{real_path(file.path).as_uri()}?{mode}", uri=True)


def _look(file: File) -> tuple[Stamp, ...]:
    """What the path leads to now and when that was last written, and what the log's name leads to."""
    return stamp(file.path, written=True), stamp(f"{file.real}-wal")


def _fate(file: File) -> str:
    return "replaced by another file" if file.path.exists() else "removed"
