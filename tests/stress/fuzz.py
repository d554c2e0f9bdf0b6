"""Ten thousand generated cases, each of which must end well or with what a user can mend, and none later than in 10 s.

Cases are done in processes that do many each, one a core; one that dies or hangs beyond help is started anew after the
case that it died of. A case is decided by its number: `python -m tests.stress fuzz --case NUMBER` does one again.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.stress.cases import TURNS, kind_of
from tests.stress.common import REPOSITORY, Part, environment, say, workspace

CASES, QUICK_CASES = 10_000, 200
_HELPLESS_SECONDS = 30.0  # after which a case is beyond its own alarm
_SHOWN_EVERY = 1_000
_KEPT = 200  # failures that are kept in the results


def run(quick: bool, cases: int | None = None) -> Part:
    """Do the cases; returns the figures."""
    part = Part(name="fuzz")
    count = cases or (QUICK_CASES if quick else CASES)
    with workspace("fuzz") as folder:
        materials = _materials(folder)
        results = _Crew(folder, materials, count).work()
    _report(part, results, count)
    return part


def repeat(number: int) -> None:
    """Do one case in a process of its own, and show what comes of it."""
    with workspace("fuzz") as folder:
        materials = _materials(folder)
        command = _command(materials, folder, number, number + 1, 0)
        if code := subprocess.run(command, env=_environment(folder), cwd=REPOSITORY).returncode:
            say(f"fuzz: the process ended with {code}")


def _materials(folder: Path) -> Path:
    materials = folder / "materials"
    materials.mkdir()
    command = [sys.executable, "-m", "tests.stress.cases.materials", str(materials)]
    subprocess.run(command, env=_environment(folder), cwd=REPOSITORY, check=True)
    return materials


def _environment(folder: Path) -> dict[str, str]:
    """No user's folders, and the small task for commands that name no data."""
    places = {
        "HOME": str(folder),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "KWS_DATA": str(folder / "materials" / "task"),
    }
    return environment(**places, KWS_CACHE=str(folder / "materials" / "cache"), PYTHONWARNINGS="ignore")


def _command(materials: Path, folder: Path, first: int, stop: int, step: int) -> list[str]:
    return [sys.executable, "-m", "tests.stress.fuzzer", str(materials), str(folder), *map(str, (first, stop, step))]


class _Worker:
    """A process, and the case that it is at."""

    def __init__(self, folder: Path, materials: Path, first: int, stop: int, step: int) -> None:
        self.folder, self._materials, self._range = folder, materials, (stop, step)
        self.next = first
        self.case: int | None = None
        self.since = time.monotonic()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(exist_ok=True)
        self.since = time.monotonic()
        command = _command(self._materials, self.folder, self.next, *self._range)
        about = _environment(self._materials.parent)
        return subprocess.Popen(command, stdout=subprocess.PIPE, env=about, cwd=REPOSITORY, bufsize=0)

    def again(self) -> bool:
        """Start anew after the case that it died of; False where that was the last."""
        self.case = None
        if self.next >= self._range[0]:
            return False
        self.process = self._start()
        return True

    def last_words(self) -> str:
        """The end of what it has written to stderr."""
        try:
            lines = (self.folder / "stderr").read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return " ".join(line for line in lines[-5:] if line)[-300:]


class _Crew:
    """All workers, and what they have told."""

    def __init__(self, folder: Path, materials: Path, count: int) -> None:
        self._count, self._results = count, list[dict[str, Any]]()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = max(min(cores, count // 50), 1)
        self._workers = [_Worker(folder / f"worker{n}", materials, n, count, workers) for n in range(workers)]
        self._step = workers

    def work(self) -> list[dict[str, Any]]:
        """Every case's result."""
        with _killed_at_the_end(self._workers), selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(_pipe(worker), selectors.EVENT_READ, (worker, bytearray()))
            while selector.get_map():
                for key, _ in selector.select(timeout=1.0):
                    self._hear(selector, key.fileobj, *key.data)
                for worker in self._workers:
                    if worker.case is not None and time.monotonic() - worker.since > _HELPLESS_SECONDS:
                        worker.process.kill()  # its pipe ends, and _hear() sees to the rest
        return sorted(self._results, key=lambda result: result["number"])

    def _hear(self, selector: selectors.BaseSelector, pipe: Any, worker: _Worker, buffer: bytearray) -> None:
        data = os.read(pipe.fileno(), 65_536)
        buffer += data
        *lines, rest = bytes(buffer).split(b"\n")
        buffer[:] = rest
        for line in lines:
            self._take(worker, json.loads(line))
        if not data:
            selector.unregister(pipe)
            pipe.close()
            self._bury(worker)
            if worker.again():
                selector.register(_pipe(worker), selectors.EVENT_READ, (worker, bytearray()))

    def _take(self, worker: _Worker, message: dict[str, Any]) -> None:
        worker.since = time.monotonic()
        if "begin" in message:
            worker.case = message["begin"]
            worker.next = message["begin"] + self._step
            return
        worker.case = None
        self._results.append({"number": message.pop("end"), **message})
        if not len(self._results) % _SHOWN_EVERY:
            bad = sum("failure" in result for result in self._results)
            say(f"fuzz: {len(self._results):,}/{self._count:,} cases, {bad} of them ended as none may")

    def _bury(self, worker: _Worker) -> None:
        """Keep what a process died of."""
        code = worker.process.wait()
        if worker.case is None:
            if code:
                raise RuntimeError(f"a process that does cases ended with {code}: {worker.last_words()}")
            return
        hung = time.monotonic() - worker.since > _HELPLESS_SECONDS
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        what = f"the process ended by {name}: {worker.last_words()}" if not hung else "it hung, deaf to its alarm"
        failure = {"failure": "hang" if hung else "crash", "what": what, "where": kind_of(worker.case), "traceback": []}
        self._results.append({"number": worker.case, "kind": kind_of(worker.case), "seconds": None, **failure})


def _pipe(worker: _Worker) -> IO[bytes]:
    assert worker.process.stdout
    return worker.process.stdout


@contextmanager
def _killed_at_the_end(workers: list[_Worker]) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()


def _report(part: Part, results: list[dict[str, Any]], count: int) -> None:
    failures = [result for result in results if "failure" in result]
    part.exactly("cases", len(results), count)
    for kind in dict.fromkeys(TURNS):
        mine = [result for result in results if result["kind"] == kind]
        refused = sum("allowed" in result for result in mine)
        part.told(f"of these {kind}", f"{len(mine):,} ({refused:,} of them refused)")
    names = {
        "traceback": "tracebacks",
        "hang": "hangs over 10 s",
        "canary": "times that code in a damaged file was run",
        "crash": "processes that died",
    }
    for what, name in names.items():
        part.exactly(name, sum(result["failure"] == what for result in failures), 0)
    part.told("the slowest case, seconds", max((result["seconds"] or 0.0 for result in results), default=0.0))
    by_place = Counter((f["kind"], f["failure"], f["where"], f["what"].partition(":")[0]) for f in failures)
    for (kind, what, where, name), times in by_place.most_common():
        first = next(f for f in failures if (f["kind"], f["where"], f["what"].partition(":")[0]) == (kind, where, name))
        part.note(f"{times} x {what}, {kind}, {where}: {first['what'][:200]} (case {first['number']})")
    part.details = {"failures": failures[:_KEPT]}
