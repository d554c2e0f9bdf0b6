"""Very many runs: what is looked at over 100,000 of them, and what a claim takes among a million.

- Commands are whole processes, as their user types them; memory is the most that one of their processes has held. The
  first page of `kws ui` counts from the start of the program until a browser has all of the page; its tables follow.
- The registry of 100,000 runs of 50 epochs is one of 1,000 whose rows were copied with other seeds; the server has a
  copy of the file.
- A claim is the one transaction in which a sweep takes a run on. The million runs that it finds nothing equal among are
  copies of one row.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from benchmarks import writing
from benchmarks.comparing import require_compared
from benchmarks.measure import CellError, Turns, call, environment, kws_program, run, say, take_turns
from benchmarks.report import Row, compared
from benchmarks.workspace import Workspace
from benchmarks.writing import FILE, SERVER

GROUP = "many"
_BASE = 10_000
_PATIENCE = 120.0
# At most so many seconds and megabytes.
_LOOKS = {"compare": (3.0, 500.0), "compare --leaderboard": (None, None), "runs list": (None, None)}
_PAGE = (1.0,)
_CLAIM = {FILE: 2.0, SERVER: 4.0}  # at most so many milliseconds


def measure(workspace: Workspace) -> list[Row]:
    """The rows of very many runs."""
    runs, claimed = (200, 1_000) if workspace.quick else (100_000, 1_000_000)
    file = str(workspace.registry(runs))
    require_compared(file)
    with writing.server() as (server, missing):
        cells: dict[str, Callable[[], Any]] = {}
        places = {FILE: file} | ({SERVER: server.url(server.new_schema())} if server else {})
        if server:
            say(f"copying {runs:,} runs to the server")
            call("many:copy", source=file, target=places[SERVER])
        for place, db in places.items():
            for command in _LOOKS:
                cells[_looked(command, place, runs)] = lambda command=command, db=db: used(
                    [*kws_program(), *command.split(), "--db", db]
                )
            cells[_looked("ui", place, runs)] = lambda db=db: first_page(db)
            db = str(workspace.folder / "claimed.db") if place == FILE else server.url(server.new_schema())
            say(f"making {claimed:,} runs in {place}")
            call("many:fill", db=db, runs=claimed)
            cells[_claim(place, claimed)] = lambda db=db: call("writing:claims", db=db)
        turns = take_turns(cells, workspace.rounds, group=GROUP)
    rows = []
    for place in (FILE, SERVER):
        note = missing if place == SERVER else ""
        for command in (*_LOOKS, "ui"):
            rows += _rows(turns, command, place, runs, note)
        what = _claim(place, claimed)
        rows.append(_row(what, "ms", turns.samples(what), _CLAIM[place], note or turns.failures.get(what, "")))
    return rows


def _rows(turns: Turns, command: str, place: str, runs: int, note: str) -> list[Row]:
    cell, limits = _looked(command, place, runs), _LOOKS.get(command, _PAGE)
    note = note or turns.failures.get(cell, "")
    parts = (("seconds", "s", cell), ("megabytes", "MB", f"{cell}: memory"))
    return [
        _row(what, unit, turns.samples(cell, lambda done, key=key: done[key]), most, note)
        for (key, unit, what), most in zip(parts, limits, strict=False)
    ]


def _row(what: str, unit: str, ours: Any, most: float | None, note: str) -> Row:
    return compared(group=GROUP, what=what, unit=unit, ours=ours, against="", theirs=None, most=most, note=note)


def _looked(command: str, place: str, runs: int) -> str:
    shown = "the first page of `kws ui`" if command == "ui" else f"`kws {command}`"
    return f"{shown} over {runs:,} runs in {place}, whole process"


def _claim(place: str, runs: int) -> str:
    return f"a claim in {place} that holds {runs:,} runs"


_USED = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
seconds = time.perf_counter() - start
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "megabytes": most / 1e6}))
sys.exit(done.returncode)
"""


def used(command: list[str]) -> dict[str, float]:
    """The seconds that a command takes as a whole, and the most megabytes of one of its processes.

    A process starts with what the one that starts it has held at most: hence a small one between the two.
    """
    found: dict[str, float] = json.loads(run([sys.executable, "-I", "-S", "-c", _USED, *command], env=environment()))
    return found


def first_page(db: str) -> dict[str, float]:
    """The seconds from the start of `kws ui` until its page has come."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*kws_program(), "ui", "--port", str(port), "--db", db]
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not _page(port):
                if process.poll() is not None or time.perf_counter() - start > _PATIENCE:
                    raise CellError("no page came")
                time.sleep(0.005)
            return {"seconds": time.perf_counter() - start}
        finally:
            process.terminate()


def _page(port: int) -> bool:
    """Whether the page has come whole."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)) as connection:
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status == http.client.OK and b"</html>" in answer.read()
        except OSError:
            return False


def copy(source: str, target: str) -> None:
    """Copy a registry. Runs in a process of its own."""
    from kws.registry.copying import copy_all
    from kws.registry.location import locate
    from kws.registry.opening import open_database

    place = locate(source)
    with closing(open_database(place, create=False)) as of, of.reading() as there:
        copy_all(there, locate(target), source=place)


def fill(db: str, runs: int) -> None:
    """Make a registry with a finished run, and copies of its row, equal to none. Runs in a process of its own."""
    from kws.registry.claims import Claimer
    from kws.registry.location import locate

    base = min(_BASE, runs)
    writing.fill(db, base)
    with Claimer(locate(db)) as registry, registry.database.writing() as connection:
        names = [
            name for name in dict(connection.execute("SELECT * FROM trainings LIMIT 1").fetchone()) if name != "key"
        ]
        last = connection.execute("SELECT max(key) FROM trainings").fetchone()[0]
        for copies in range(1, runs // base):
            new = f"CAST(key + {copies * last} AS TEXT)"
            values = ", ".join({"id": new, "recipe_digest": new}.get(name, name) for name in names)
            connection.execute(
                f"INSERT INTO trainings ({', '.join(names)}) SELECT {values} FROM trainings WHERE key <= {last}"
            )
