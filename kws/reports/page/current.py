"""Current: the overview of a registry as it is now, for a page that is requested repeatedly.

Decisions:
- Between two reads nothing is held, no connection and no lock, so that training, moving or replacing the file never
  waits for a page. The sizes and times of the file and its write-ahead log show whether it has changed.
- A server is asked for changes, on a connection opened for that alone.
- A run that is killed changes nothing in the file. While any run is training, the registry is read again every two
  seconds.
- Table 1, which takes longest, is made again only when the finished runs have changed.
- Of more than MANY runs (kws.registry.all_runs) no page waits for all to be read, nor for the tables: the newest runs
  are there at once, and a thread adds the others, the tables and the leaderboards. It makes tables for a fifth of the
  time at most, since runs may finish all the time; meanwhile the last ones are shown.
Safe for any number of threads.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from kws.registry import all_runs
from kws.registry.all_runs import AllRuns
from kws.registry.files import real_path
from kws.registry.location import Location, ServerUrl
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports.page.data import Overview, of_tables, overview, with_leaderboards

NEWEST = 100  # runs that are shown before all are read
_LOOK_AGAIN = 2.0  # seconds
_REST = 4  # times as long as the tables of many runs took, until they are made again

Stamp = tuple[object, ...]


class Current:
    """The overview of a registry; now() raises RegistryError if the registry cannot be read."""

    def __init__(self, path: Location) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: Stamp = ()
        self._looked = 0.0
        self._all: AllRuns | None = AllRuns()  # None until a thread has read many runs
        self._made = self._overview = Overview(tables=(), runs=(), total=0)
        self._made_of: tuple[Run, ...] | None = None
        self._served = secrets.token_hex(8)
        self._changes = 0
        self._thread: threading.Thread | None = None
        self._has_read = threading.Event()
        self._rests_until = 0.0
        self._error: Exception | None = None  # what ended the thread

    def now(self, *, whole: bool = False) -> tuple[str, Overview]:
        """The state, which changes whenever anything does, and the overview of it; `whole` waits for all runs."""
        while True:
            with self._lock:
                stamp = _stamp(self.path)
                due = time.monotonic() - self._looked > _LOOK_AGAIN
                if stamp != self._stamp or (due and self._is_pending()):
                    with RegistryReader(self.path) as registry:
                        self._look(registry)
                    self._stamp, self._looked = stamp, time.monotonic()
                if self._error:
                    raise self._error
                if self._all is not None or not whole:
                    return f"{self._served}-{self._changes}", self._overview
            self._has_read.wait()

    def _is_pending(self) -> bool:
        """Whether there may be something new though nothing was written."""
        if self._all is None or self._error:
            return self._error is not None
        if self._overview.running or self._all.is_behind:
            return True
        return not self._thread and _finished(self._all.runs) != (self._made_of or ())

    def _look(self, registry: RegistryReader) -> None:
        self._error = None
        if self._all is not None and not self._all.runs and all_runs.count(registry) > all_runs.MANY:
            self._all = None
        if self._all is None:
            total = all_runs.count(registry)
            runs = all_runs.newest(registry, NEWEST)
            self._show(dataclasses.replace(self._made, runs=runs, total=total, awaited=total))
            self._begin()
            return
        self._all.read(registry)
        finished = _finished(self._all.runs)
        if finished != self._made_of and not self._thread:
            if len(finished) <= all_runs.MANY:
                self._made, self._made_of = overview(registry, finished), finished
            elif time.monotonic() > self._rests_until:
                self._begin()
        self._show_all(self._all.runs)

    def _show_all(self, runs: tuple[Run, ...]) -> None:
        finished, awaited = _finished(runs), 0
        if finished != self._made_of:
            known = {*map(id, self._made_of or ())}
            awaited = sum(id(run) not in known for run in finished)
        self._show(dataclasses.replace(self._made, runs=runs, total=len(runs), awaited=awaited))

    def _show(self, of: Overview) -> None:
        if of != self._overview or not self._changes:
            self._overview = of
            self._changes += 1

    def _begin(self) -> None:
        if not self._thread:
            self._has_read.clear()
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """Read all runs, unless they are known, and make their tables; in a thread."""
        error: Exception | None = None
        try:
            known = self._all
            with RegistryReader(self.path) as registry:
                if known is None:
                    known = AllRuns()
                    known.read(registry)
                with self._lock:
                    self._all = known
                    finished = _finished(known.runs)
                    self._show_all(known.runs)
                self._has_read.set()
                start = time.monotonic()
                made = of_tables(registry, finished)
                self._keep(dataclasses.replace(made, leaderboards=self._made.leaderboards), finished)
                self._keep(with_leaderboards(registry, made), finished)
            self._rests_until = time.monotonic() + _REST * (time.monotonic() - start)
        except Exception as found:
            error = found
        with self._lock:
            self._thread, self._error = None, error
            if error:
                self._made_of = None  # its tables are made again
        self._has_read.set()

    def _keep(self, made: Overview, of: tuple[Run, ...]) -> None:
        with self._lock:
            self._made, self._made_of = made, of
            if self._all:
                self._show_all(self._all.runs)


def _finished(runs: Iterable[Run]) -> tuple[Run, ...]:
    return tuple(run for run in runs if run.status == FINISHED)


def _stamp(path: Location) -> Stamp:
    """A value that changes when the registry does; an empty log, which reading creates and removes, counts as none."""
    if isinstance(path, ServerUrl):
        with RegistryReader(path) as registry:
            return (registry.version(),)
    found: list[tuple[int, int, int] | None] = []
    real = real_path(path)
    for each in (real, Path(f"{real}-wal")):
        try:
            about = each.stat()
        except OSError:
            found.append(None)
            continue
        found.append((about.st_ino, about.st_mtime_ns, about.st_size) if about.st_size else None)
    return tuple(found)
