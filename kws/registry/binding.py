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
_SIGN = """
SELECT heartbeat_at FROM sessions WHERE session = :session AND run_key = (SELECT key FROM runs WHERE id = :run)
"""


class ReplacedError(RegistryError):
    """The registry's path leads to another file than the one that a run is recorded in, or to none."""


@dataclass
class Binding:
    """What a process has recorded of a run of its own, as far as it has to be found again: its heartbeats."""

    run: str
    session: int
    beats: list[str] = field(default_factory=list)
    seen: int = -1  # the last of them that was found in the file itself, without its log
    looked: tuple[Stamp, ...] = ()  # what the path led to then

    def is_sure(self, file: File) -> bool:
        """Whether nothing has changed since the last look."""
        return self.looked != () and _look(file) == self.looked

    def confirm(self, file: File, *, thoroughly: bool) -> bool:
        """Look for the last heartbeat in the file at the path; whether that must be opened anew.

        It must where it is the same file by other inodes, or has another log. Raises ReplacedError where it is not.
        """
        until = time.monotonic() + SURE_SECONDS
        longest = time.monotonic() + _LONGEST_SECONDS
        before: tuple[Stamp, ...] = ()
        while True:
            now = _look(file)
            same = file.is_current()
            known = self._found(file)
            if same and known >= self.seen >= 0 and not thoroughly:
                self.looked, self.seen = now, known
                return False
            # What was committed is written into the open file, never into one that has lost what it had already.
            if not same or known >= self.seen:
                written = file.write_log()
                now = _look(file)
                if (known := self._found(file)) == len(self.beats) - 1 and _look(file) == now:
                    self.looked, self.seen = now, known
                    return not same
                if same and not written and known >= self.seen and self._is_there(file):
                    return False  # a reader keeps the log from being written; the same file by its inode, then
            if now != before:
                until, before = time.monotonic() + SURE_SECONDS, now
            if time.monotonic() > min(until, longest):
                raise ReplacedError(f"{file.path} was {_fate(file)} while the run was recorded in it")
            time.sleep(_AGAIN_SECONDS)

    def _found(self, file: File) -> int:
        """The number of the last heartbeat that is in the file at the path, without any log; -1 for none."""
        return self._read(file, "mode=ro&immutable=1")

    def _is_there(self, file: File) -> bool:
        """Whether somebody who opens the path now finds the last heartbeat."""
        return self._read(file, "mode=rw") == len(self.beats) - 1

    def _read(self, file: File, mode: str) -> int:
        about = {"run": self.run, "session": self.session}
        uri = f"{real_path(file.path).as_uri()}?{mode}"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as other:
                row = other.execute(_SIGN, about).fetchone()
            return len(self.beats) - 1 - self.beats[::-1].index(row[0]) if row else -1
        except (sqlite3.Error, ValueError):  # it is not there, no registry, or just being written
            return -1


def _look(file: File) -> tuple[Stamp, ...]:
    """What the path leads to now, and when that was last written."""
    return *file.look(), stamp(file.path, written=True)


def _fate(file: File) -> str:
    return "replaced by another file" if file.path.exists() else "removed"
