"""Binding: checks that what a process records is in the file now at the registry's path, not in a previous one.

The guarantee: a run is reported as finished only after its end was read back from the file at the path, through that
path. Until then each record gets a cheap check: compare what the path leads to, and only if that has changed, look for
the run's heartbeat in the file. A file may be removed, moved, replaced or overwritten by another file, or a link may be
redirected. Inodes alone prove nothing: on some mounts they change for the same file, or stay the same for another.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field, replace

from kws.errors import RegistryError
from kws.registry.files import File, real_path
from kws.registry.stamps import Stamp, stamp

SURE_SECONDS = 1.0  # how long nothing must change before a file counts as another one
_LONGEST_SECONDS = 30.0
_AGAIN_SECONDS = 0.05
_WITHOUT_LOG = "mode=ro&immutable=1"
_SIGN = """
SELECT heartbeat_at FROM sessions WHERE session = :session AND run_key = (SELECT key FROM trainings WHERE id = :run)
"""


class ReplacedError(RegistryError):
    """The registry's path no longer leads to the file that a run is recorded in, but to another file or to none."""


@dataclass(frozen=True)
class Beat:
    """A session's latest heartbeats; the registry keeps only the last, and the first was found in the file itself.

    `looked` is what the path led to when the last check of that session had succeeded, () if that is not known.
    """

    run: str
    session: int
    at: tuple[str, ...]
    looked: tuple[Stamp, ...] = ()

    def is_in(self, connection: sqlite3.Connection) -> bool:
        """Whether the database contains one of these heartbeats."""
        row = connection.execute(_SIGN, {"run": self.run, "session": self.session}).fetchone()
        return row is not None and row[0] in self.at

    def is_at_path(self, file: File) -> bool:
        """Whether the file at the path contains one of these heartbeats.

        False means that another file was written over it; it is returned only after nothing has changed for
        SURE_SECONDS. A file that SQLite cannot read without its log counts as ours: a partial checkpoint leaves it in
        that state.
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
        """Whether to stop waiting; for a half-written file, only after _LONGEST_SECONDS."""
        if look != self._look:
            self._until, self._look = time.monotonic() + SURE_SECONDS, look
        return time.monotonic() > (self._longest if half_written else min(self._until, self._longest))


@dataclass
class Binding:
    """The heartbeats that a process has recorded for one of its runs, to be found again in the file.

    `seen` is the index of the last heartbeat that was found in the file itself, without its log; -1 for none. `anchor`
    is a heartbeat of an earlier run that was found there; it is used until this run has one.
    """

    run: str
    session: int
    anchor: Beat | None = None
    beats: list[str] = field(default_factory=list)
    seen: int = -1
    looked: tuple[Stamp, ...] = ()  # what the path led to at the last successful check
    half_written: bool = False  # whether the last check found a file that a checkpoint left between two states

    def __post_init__(self) -> None:
        if self.anchor:  # as long as nothing has changed since, what was found then is in the file at the path
            self.looked = self.anchor.looked

    def is_sure(self, file: File) -> bool:
        """Whether nothing has changed since the last successful check."""
        return self.looked != () and _look(file) == self.looked

    def last_seen(self) -> Beat | None:
        """The heartbeats of which one is in the file itself; the anchor if this run has none there."""
        if self.seen >= 0:
            return Beat(self.run, self.session, tuple(self.beats[self.seen :]), self.looked)
        return replace(self.anchor, looked=self.looked) if self.anchor else None

    def confirm(self, file: File, *, thoroughly: bool) -> bool:
        """Check that the file at the path is the one recorded in; returns whether it must be reopened.

        With `thoroughly`, the last heartbeat must be in it. It must be reopened if it is the same file under another
        inode, or has another log. Raises ReplacedError if it is another file.
        """
        if thoroughly and self.is_sure(file) and self._look_in(file, "mode=rw")[0] == len(self.beats) - 1:
            return False
        patience = _Patience()
        while True:
            now, same = _look(file), file.is_current()
            number, anchored = self._look_in(file)
            sound = number >= self.seen and (number >= 0 or anchored)
            cut_off = self.half_written and patience.is_over(now)  # a checkpoint that nobody goes on with
            if same and sound and not thoroughly and (number >= 0 or self.anchor):
                self.looked, self.seen = now, number
                return False
            # Write the log into the open file, but never into a file that has lost records it already had; where none
            # were seen in it, or it is no longer at the path, what is in the log and in the file must tell. If it is
            # half-written, no record can be found, so that all who record in it wait here: one must finish it.
            is_ours = same and sound and (number >= 0 or self.anchor is not None)
            is_ours = is_ours or file.is_untouched() or ((sound or not same) and file.has_its_log())
            if is_ours or (cut_off and _is_whole(file)):
                written = file.write_log()
                now = _look(file)
                if (number := self._look_in(file)[0]) == len(self.beats) - 1 and _look(file) == now:
                    self.looked, self.seen = now, number
                    return not same
                if same and not written and self._look_in(file, "mode=rw")[0] == len(self.beats) - 1:
                    self.looked = ()
                    return False  # a reader blocks the checkpoint; the inode shows that it is the same file
            if patience.is_over(now, half_written=self.half_written):
                raise ReplacedError(f"{file.path} was {_fate(file)} while the run was recorded in it")
            time.sleep(_AGAIN_SECONDS)

    def _look_in(self, file: File, mode: str = _WITHOUT_LOG) -> tuple[int, bool]:
        """The index of the heartbeat in the file at the path (-1 for none), and whether the anchor is in it.

        The second value is True if there is no anchor.
        """
        self.half_written = False
        try:
            with closing(_opened(file, mode)) as other:
                row = other.execute(_SIGN, {"run": self.run, "session": self.session}).fetchone()
                number = len(self.beats) - 1 - self.beats[::-1].index(row[0]) if row else -1
                if number >= 0 or self.anchor is None:
                    return number, True
                return number, self.anchor.is_in(other)
        except (sqlite3.Error, ValueError) as error:  # the file is missing, not a registry, or just being written
            self.half_written = _is_half_written(error)
            return -1, self.anchor is None


def _is_half_written(error: Exception) -> bool:
    """Whether SQLite found the file malformed without its log, which is how a partial checkpoint leaves it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def _is_whole(file: File) -> bool:
    """Whether the file at the path is a sound database together with the log; part of another file is not."""
    try:
        with closing(_opened(file, "mode=rw")) as other:  # the open connection may remember pages from before
            return other.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False


def _opened(file: File, mode: str = _WITHOUT_LOG) -> sqlite3.Connection:
    """A second connection to the file at the path."""
    return sqlite3.connect(f"{real_path(file.path).as_uri()}?{mode}", uri=True)


def _look(file: File) -> tuple[Stamp, ...]:
    """The stamps of the file that the path leads to now (with size and time of its last write) and of its log."""
    return stamp(file.path, written=True), stamp(f"{file.real}-wal")


def _fate(file: File) -> str:
    return "replaced by another file" if file.path.exists() else "removed"
