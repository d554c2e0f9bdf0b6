"""`kws sweep` beside a shell loop of `kws train`: the same runs, in pairs, one round after the other.

- The loop is `kws train` as it comes, one process a run, with all cores each; the sweep is `kws sweep` as it comes, a
  thread a run and as many runs at once as there are cores. So the recipes differ in their threads, and in nothing else.
- fc: both optimizers, 5 seeds, 50 epochs, all of them run. cnn: both optimizers, 2 seeds, 3 epochs, since 50 would take
  hours. Both are on data whose features are in the cache.
- Table 1 is carried on from these. A run of the cnn has the epochs that are missing as those after its first one were,
  by the registry's milliseconds, and there are 10 of them instead of 4. In the loop that is added to each run's
  process; in the sweep it is shared by those at once. The way to a sweep's first run counts twice there, though one
  sweep pays it once: for fc and for the cnn.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Samples, Turns, cores, environment, kws_program, run, take_turns
from benchmarks.report import Row
from benchmarks.workspace import Workspace

EPOCHS, SEEDS = 50, 5
OPTS = ("sgd", "adam")
_ROUNDS = 3
_MOST_SECONDS = 3_600.0
_WANTED = {"fc": 0.8, "table1": 1.0}


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of one network that are trained both ways: each optimizer with so many seeds, for so many epochs."""

    arch: str
    seeds: int
    epochs: int
    batch: int = 1024

    @property
    def count(self) -> int:
        """How many there are."""
        return len(OPTS) * self.seeds


def measure(workspace: Workspace) -> list[Row]:
    """The rows of sweeps."""
    if workspace.quick:
        measured = {
            "fc": Runs(arch="fc", seeds=1, epochs=4, batch=64),
            "cnn": Runs(arch="cnn", seeds=1, epochs=2, batch=64),
        }
    else:
        measured = {"fc": Runs(arch="fc", seeds=SEEDS, epochs=EPOCHS), "cnn": Runs(arch="cnn", seeds=2, epochs=3)}
    turns = Turns()
    for runs in measured.values():
        cells: dict[str, Callable[[], Any]] = {
            f"{runs.arch}, sweep": lambda runs=runs: sweep(workspace, runs),
            f"{runs.arch}, loop": lambda runs=runs: loop(workspace, runs),
        }
        done = take_turns(cells, 1 if workspace.quick else _ROUNDS, group="sweep", cell_seconds=_MOST_SECONDS)
        turns.results |= done.results
        turns.failures |= done.failures
    on = f"on {workspace.task[1]}"
    rows = [_measured_row(turns, runs, on) for runs in measured.values()]
    return [*rows, _table_row(turns, measured, on)]


def _measured_row(turns: Turns, runs: Runs, on: str) -> Row:
    return _row(
        what=f"{runs.arch}, {runs.count} runs of {runs.epochs} epochs {on}, by `kws sweep`",
        unit="s",
        ours=turns.samples(f"{runs.arch}, sweep", lambda done: done["wall"]),
        theirs=turns.samples(f"{runs.arch}, loop", lambda done: sum(done["walls"])),
        most=_WANTED["fc"] if runs.epochs == EPOCHS else None,
        note=next(iter(turns.failures.values()), _threads()),
    )


def _table_row(turns: Turns, measured: dict[str, Runs], on: str) -> Row:
    """All 20 runs of Table 1, carried on from what was measured."""
    ways: dict[str, Callable[[dict[str, Any], Runs], float]] = {"sweep": _sweep_carried, "loop": _loop_carried}
    totals: dict[str, Samples | None] = {}
    for way, carried in ways.items():
        fc, cnn = (
            turns.samples(f"{arch}, {way}", lambda done, runs=runs, carried=carried: carried(done, runs))
            for arch, runs in measured.items()
        )
        totals[way] = Samples(tuple(a + b for a, b in zip(fc.values, cnn.values, strict=False))) if fc and cnn else None
    of = ", ".join(f"{runs.count} {arch} of {runs.epochs} epochs" for arch, runs in measured.items())
    return _row(
        what=f"`kws sweep --preset table1` {on}, carried on to {EPOCHS} epochs and {2 * len(OPTS) * SEEDS} runs",
        unit="min",
        ours=_minutes(totals["sweep"]),
        theirs=_minutes(totals["loop"]),
        most=_WANTED["table1"],
        note=f"carried on from {of}: an epoch more takes what one after a run's first took, a run more what those "
        f"measured did; {_threads()}",
    )


def _row(*, what: str, unit: str, ours: Samples | None, theirs: Samples | None, most: float | None, note: str) -> Row:
    ratio = ours.over(theirs) if ours and theirs else None
    return Row(
        group="sweep",
        what=what,
        unit=unit,
        ours=ours,
        against="a loop of `kws train`",
        theirs=theirs,
        ratio=ratio,
        reading="times",
        wanted=f"at most {most:g} times" if most else "",
        holds=ratio.median <= most if ratio and most else None,
        note=note,
    )


def _threads() -> str:
    return f"the loop's runs have {cores()} threads each, one after the other; the sweep's one each, {cores()} at once"


def _minutes(seconds: Samples | None) -> Samples | None:
    return seconds.map(lambda value: value / 60) if seconds else None


def _sweep_carried(done: dict[str, Any], runs: Runs) -> float:
    """The seconds of SEEDS seeds and EPOCHS epochs in a sweep."""
    more = (EPOCHS - runs.epochs) * sum(done["epoch"]) / done["jobs"]
    return done["way"] + (done["wall"] - done["way"] + more) * len(OPTS) * SEEDS / runs.count


def _loop_carried(done: dict[str, Any], runs: Runs) -> float:
    """The seconds of SEEDS seeds and EPOCHS epochs in a loop."""
    each = [wall + (EPOCHS - runs.epochs) * epoch for wall, epoch in zip(done["walls"], done["epoch"], strict=True)]
    return sum(each) * len(OPTS) * SEEDS / runs.count


def sweep(workspace: Workspace, runs: Runs) -> dict[str, Any]:
    """Train by one `kws sweep`: its seconds, those to its first run, and those an epoch of each run."""
    data, database = workspace.task[0], workspace.folder / "sweep.db"
    command = [*kws_program(), "sweep", "--arch", runs.arch, "--opt", ",".join(OPTS), "--seeds", str(runs.seeds)]
    command += [*_common(runs, data), "--db", str(database)]
    begun, start = time.time(), time.perf_counter()
    run(command, env=environment(KWS_CACHE=str(workspace.cache)), timeout_seconds=_MOST_SECONDS)
    wall = time.perf_counter() - start
    started = moments(database, "SELECT min(started_at) FROM runs")[0]
    done = {"wall": wall, "way": started - begun, "epoch": _epoch_seconds(database, runs.count), "jobs": cores()}
    forget(database)
    return done


def loop(workspace: Workspace, runs: Runs) -> dict[str, Any]:
    """Train by a `kws train` a run: the seconds of each, and those an epoch of each."""
    data, database = workspace.task[0], workspace.folder / "loop.db"
    walls = []
    for opt in OPTS:
        for seed in range(runs.seeds):
            command = [*kws_program(), "train", "--arch", runs.arch, "--opt", opt, "--seed", str(seed)]
            command += [*_common(runs, data), "--db", str(database)]
            start = time.perf_counter()
            run(command, env=environment(KWS_CACHE=str(workspace.cache)), timeout_seconds=_MOST_SECONDS)
            walls.append(time.perf_counter() - start)
    done = {"walls": walls, "epoch": _epoch_seconds(database, runs.count)}
    forget(database)
    return done


def _common(runs: Runs, data: Path) -> list[str]:
    return ["--epochs", str(runs.epochs), "--batch-size", str(runs.batch), "--data", str(data)]


def _epoch_seconds(database: Path, runs: int) -> list[float]:
    """The mean seconds of each run's epochs after its first, the runs in their order of time."""
    query = "SELECT avg(milliseconds) / 1000.0 FROM epochs WHERE epoch > 1 GROUP BY run_key ORDER BY run_key"
    with closing(sqlite3.connect(database)) as connection:
        found = [row[0] for row in connection.execute(query)]
    if len(found) != runs:
        raise RuntimeError(f"{runs} runs were to be trained, and {len(found)} are in the registry")
    return found


def moments(database: Path, query: str) -> list[float]:
    """The times in a query's first row, as seconds since 1970."""
    with closing(sqlite3.connect(database)) as connection:
        return [datetime.fromisoformat(value).timestamp() for value in connection.execute(query).fetchone()]


def forget(database: Path) -> None:
    """Delete a registry."""
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
