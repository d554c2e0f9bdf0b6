"""A registry that is full: 64 and 256 processes that record epochs for a minute, as fast as they can, and ten a second.

- A process records one run, of epochs of 10 iterations, as the processes of a sweep do: a file through a recorder
  (kws.registry.recorder), a server through its machine's relay as well. Beside it, in turns, stands what was
  done before there were recorders: each epoch in a transaction of its own, which the process waits for.
- Epochs a second are those in the registry when all processes have ended, over the seconds from their common start
  until the last one had recorded all of its own. What is still on its way at the end of the minute counts with its
  seconds.
- A wait is the time from the end of an epoch until it was recorded, as far as its process has asked: told are the
  median of the processes' medians, and the longest of all epochs of all processes.
- All processes come of one that has imported what they need, as a machine would have in its cache, and draw their
  epochs beforehand. They, the server and its disk share this machine. The server allows 300 connections, for what
  stands beside.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import statistics
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from benchmarks import ledger
from benchmarks.measure import CellError, call, take_turns
from benchmarks.report import Row, compared
from benchmarks.workspace import Workspace
from benchmarks.writing import FILE, SERVER, new_place, server

GROUP = "saturation"
PROCESSES = (64, 256)
BEFORE, NOW = "an epoch a transaction", "as sweeps record"
SECONDS, PACE = 60.0, 0.1
_ROUNDS = 3
_LONGEST = 300.0  # for what is on its way after the minute
_READY, _BEGIN = b"!", struct.Struct("d")  # what the processes tell, and are told


def measure(workspace: Workspace) -> list[Row]:
    """The rows of full registries."""
    seconds, counts = (2.0, (4,)) if workspace.quick else (SECONDS, PROCESSES)
    with server(connections=300) as (made, missing):
        cells: dict[str, Callable[[], Any]] = {}
        for place in (FILE, SERVER) if made else (FILE,):
            for processes in counts:
                for pace in (0.0, PACE):
                    for way in (BEFORE, NOW):
                        cells[named(place, processes, pace, way)] = lambda p=place, n=processes, s=pace, w=way: call(
                            "saturation:turn",
                            db=new_place(workspace, p, made),
                            processes=n,
                            seconds=seconds,
                            pace=s,
                            way=w,
                        )
        turns = take_turns(cells, 1 if workspace.quick else _ROUNDS, group=GROUP, cell_seconds=_LONGEST + 120)
    rows = []
    for place in (FILE, SERVER):
        for processes in counts:
            for pace in (0.0, PACE):
                ours, theirs = (named(place, processes, pace, way) for way in (NOW, BEFORE))
                rows.append(
                    compared(
                        group=GROUP,
                        what=kept(place, processes, pace),
                        unit="/s",
                        ours=turns.samples(ours, lambda done: done["rate"]),
                        against=BEFORE,
                        theirs=turns.samples(theirs, lambda done: done["rate"]),
                        more_is_better=True,
                        least=None if pace else 10.0,
                        note=turns.failures.get(ours) or turns.failures.get(theirs) or missing,
                    )
                )
                for key, what, unit in (
                    ("failed", f"{ours}: processes that failed", ""),
                    ("lacking", f"{ours}: epochs that were told as recorded and are not there", ""),
                    ("median", median_wait(place, processes, pace), "s"),
                    ("longest", longest_wait(place, processes, pace), "s"),
                ):
                    found = turns.samples(ours, lambda done, key=key: done[key])
                    wanted = {} if unit else {"wanted": "0", "holds": found.most == 0 if found else None}
                    rows.append(Row(group=GROUP, what=what, unit=unit, ours=found, **wanted))
    return rows


def named(place: str, processes: int, pace: float, way: str) -> str:
    """What a cell is called."""
    how = f"an epoch every {pace:g} s" if pace else "as fast as they can"
    return f"{processes} processes into {place}, {how}, {way}"


def kept(place: str, processes: int, pace: float) -> str:
    """What the row of epochs a second is called."""
    return f"{named(place, processes, pace, NOW)}: epochs kept"


def median_wait(place: str, processes: int, pace: float) -> str:
    """What the row of the median wait is called."""
    return f"{named(place, processes, pace, NOW)}: the median wait of an epoch"


def longest_wait(place: str, processes: int, pace: float) -> str:
    """What the row of the longest wait is called."""
    return f"{named(place, processes, pace, NOW)}: the longest wait of an epoch"


def turn(db: str, processes: int, seconds: float, pace: float, way: str) -> dict[str, float]:
    """Have so many processes record: epochs a second, failures, epochs that are lacking, and the longest wait."""
    call("writing:create", db=db)
    import kws.registry.claims
    import kws.registry.recorder
    import kws.registry.relayed  # noqa: F401 - for all that come of this process

    (waiting, going), (ready, all_ready) = os.pipe(), os.pipe()
    children = {}
    for number in range(processes):
        reading, writing = os.pipe()
        if pid := os.fork():
            os.close(writing)
            children[pid] = reading
            continue
        code = 1
        try:
            os.close(reading)
            told = _write(db, number, (waiting, all_ready), seconds, pace, way)
            os.write(writing, json.dumps(told).encode())
            code = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os.write(all_ready, _READY)
        finally:
            os._exit(code)
    for _ in range(processes):
        os.read(ready, len(_READY))
    begin = time.monotonic() + 1.0
    os.write(going, _BEGIN.pack(begin) * processes)
    told, failed = [], 0
    for pid, reading in children.items():
        with os.fdopen(reading) as answer:
            text = answer.read()
        failed += os.waitpid(pid, 0)[1] != 0
        if text:
            told.append(json.loads(text))
    for each in (waiting, going, ready, all_ready):
        os.close(each)
    if not told:
        raise CellError("all processes failed")
    recorded = sum(each["recorded"] for each in told)
    there = call("saturation:count", db=db)
    took = max(each["end"] for each in told) - begin
    longest = max(each["longest"] for each in told)
    return {
        "rate": there / took,
        "failed": failed,
        "lacking": max(recorded - there, 0),
        "median": statistics.median(each["median"] for each in told),
        "longest": longest,
    }


def _write(db: str, number: int, start: tuple[int, int], seconds: float, pace: float, way: str) -> dict[str, float]:
    """Record for so many seconds from when all processes have claimed their runs: `start` tells both, in pipes."""
    from kws.registry.claims import Wanted

    waiting, all_ready = start
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds + _LONGEST))
    draw = random.Random(number)
    made = ledger.make(number, draw)
    recipe = dataclasses.replace(made.recipe, seed=number)
    with _opened(db, way) as registry:
        about: dict[str, Any] = {"environment": made.environment, "parameters": 346_067, "multiply_accumulates": None}
        run = registry.claim(Wanted.of(recipe, made.card, retry=False, **about)).run
        os.write(all_ready, _READY)
        (begin,) = _BEGIN.unpack(os.read(waiting, _BEGIN.size))
        time.sleep(max(begin - time.monotonic(), 0))
        record = _by_recorder if way == NOW else _one_by_one
        told = record(registry, run, made.epochs, begin, seconds, pace)
        with suppress(Exception):
            registry.end(run, "interrupted")
    return told


def _opened(db: str, way: str) -> Any:
    from kws.registry.claims import Claimer
    from kws.registry.location import locate
    from kws.registry.patience import SECONDS
    from kws.registry.relayed import RelayedRegistry

    place = locate(db)
    if way == NOW and "://" in db:
        return RelayedRegistry(place, code="benchmark")
    return Claimer(place, patience=SECONDS)


def _by_recorder(registry: Any, run: str, epochs: Any, begin: float, seconds: float, pace: float) -> dict[str, float]:
    from kws.registry.recorder import Recorder

    ended: dict[int, float] = {}
    waits, number = list[float](), 0
    with Recorder(registry, run) as recorder:
        while time.monotonic() < begin + seconds:
            number += 1
            ended[number] = time.monotonic()
            recorder.add(dataclasses.replace(epochs[number % len(epochs)], epoch=number))
            for each in recorder.recorded():
                waits.append(time.monotonic() - ended.pop(each.epoch))
            if pace:
                time.sleep(max(begin + pace * number - time.monotonic(), 0))
        recorder.flush()
        end = time.monotonic()
        for each in recorder.recorded():
            waits.append(end - ended.pop(each.epoch))
    return {"recorded": len(waits), "median": statistics.median(waits), "longest": max(waits), "end": end}


def _one_by_one(registry: Any, run: str, epochs: Any, begin: float, seconds: float, pace: float) -> dict[str, float]:
    waits, number = list[float](), 0
    while (start := time.monotonic()) < begin + seconds:
        number += 1
        registry.record(run, dataclasses.replace(epochs[number % len(epochs)], epoch=number))
        waits.append(time.monotonic() - start)
        if pace:
            time.sleep(max(begin + pace * number - time.monotonic(), 0))
    return {"recorded": number, "median": statistics.median(waits), "longest": max(waits), "end": time.monotonic()}


def count(db: str) -> int:
    """How many epochs a registry has. Runs in a process of its own."""
    from kws.registry.location import locate
    from kws.registry.reader import RegistryReader

    with RegistryReader(locate(db)) as registry, registry.reading() as connection:
        found: int = connection.execute("SELECT count(*) FROM epochs").fetchone()[0]
    return found
