"""The current registry for a page that is requested repeatedly: it is read again only when it has changed.

Decisions:
- Between two reads nothing is held, no connection and no lock, so that training, moving or replacing the file never
  waits for a page. The sizes and times of the file and its write-ahead log show whether it has changed.
- A server is asked for changes, on a connection opened for that alone.
- A run that is killed changes nothing in the file. While any run is training, the registry is read again every two
  seconds.
- Table 1, which takes longest, is made again only when the finished runs have changed.
Safe for any number of threads.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kws.errors import UnknownRunError
from kws.registry.files import real_path
from kws.registry.location import Location, ServerUrl
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, RUNNING, Run
from kws.reports.page import html
from kws.reports.page.data import Overview, confusion, curves, detail, overview

_LOOK_AGAIN = 2.0  # seconds

Stamp = tuple[object, ...]


class Live:
    """A registry's page; every method raises RegistryError if the registry cannot be read."""

    def __init__(self, path: Location) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: Stamp = ()
        self._looked = 0.0
        self._made_of: tuple[Run, ...] | None = None
        self._made: Overview | None = None
        self._overview: Overview | None = None
        self._state = ""
        self._page = ("", "")

    def now(self) -> tuple[str, Overview]:
        """The state, which changes whenever anything does, and the overview of it."""
        with self._lock:
            stamp = _stamp(self.path)
            due = time.monotonic() - self._looked > _LOOK_AGAIN
            if stamp != self._stamp or (due and self._is_training()):
                with RegistryReader(self.path) as registry:
                    self._look(registry)
                self._stamp, self._looked = stamp, time.monotonic()
            assert self._overview is not None
            return self._state, self._overview

    def page(self, words: str = "") -> str:
        """The overview's HTML, with a list of the runs that contain these words."""
        state, of = self.now()
        if words.strip():
            return html.live_overview(of, state, words)
        if self._page[0] != state:
            self._page = (state, html.live_overview(of, state))
        return self._page[1]

    def run_page(self, run_id: str) -> str:
        """A run's HTML.

        Raises UnknownRunError if no run has exactly this id.
        """
        state, of = self.now()
        for run in _runs(of, [run_id]):
            with RegistryReader(self.path) as registry:
                return html.live_run(detail(registry, run, of), state)
        raise UnknownRunError(f"there is no run {run_id!r} in {self.path}; the list of all runs is at /")

    def curves(self, ids: Iterable[str]) -> dict[str, Any]:
        """The curves of those of these runs that exist, by id."""
        _, of = self.now()
        runs = _runs(of, ids)
        with RegistryReader(self.path) as registry:
            return {run.id: curves(registry, run, of.called(run)) for run in runs}

    def confusions(self, ids: Iterable[str]) -> dict[str, Any]:
        """The confusion matrices of those of these runs that exist, by id; None for a run that was not tested."""
        runs = _runs(self.now()[1], ids)
        with RegistryReader(self.path) as registry:
            return {run.id: confusion(registry, run) for run in runs}

    def _look(self, registry: RegistryReader) -> None:
        runs = tuple(registry.runs())
        finished = tuple(run for run in runs if run.status == FINISHED)
        if self._made is None or finished != self._made_of:
            self._made, self._made_of = overview(registry, finished), finished
        self._overview = dataclasses.replace(self._made, runs=runs)
        self._state = hashlib.sha256(repr(runs).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _is_training(self) -> bool:
        return self._overview is not None and any(run.status == RUNNING for run in self._overview.runs)


def _runs(of: Overview, ids: Iterable[str]) -> list[Run]:
    by_id = {run.id: run for run in of.runs}
    return [by_id[run_id] for run_id in dict.fromkeys(ids) if run_id in by_id]


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
