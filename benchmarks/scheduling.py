"""What a sweep costs beside the training: a run of a tiny network, and the way to the first of the last ten of 10,000.

- The overhead of a run: the seconds from the first run's start to the last one's end, times the runs at once, a run,
  less the seconds of its epochs as the registry has them. So the network, the claim, every write, the test split, the
  task and its answer count, and so do the seconds in which a process imports torch while another one trains.
- Processes reused: how many trained these runs, by the registry's sessions.
- The way to the first start: from before `kws sweep` is started until the `started_at` of the first run that is new. Of
  the 10,000 runs of its plan 9,990 are in the registry, each with its epochs: two that a sweep trained, and copies of
  their rows with other seeds. Weights and logits are left out of them; a plan does not look there. The sweep is stopped
  then, and each turn has a fresh copy of the registry. Beside it stands a bare `import torch` in a process of its own,
  which whoever trains has to wait for in any case.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from benchmarks.measure import (
    CellError,
    Samples,
    Turns,
    call,
    cores,
    environment,
    kws_program,
    run,
    say,
    take_turns,
    wall,
)
from benchmarks.report import Row
from benchmarks.workspace import Workspace

PLANNED, LEFT = 10_000, 10
RUNS, QUICK_RUNS = 1_000, 50
_OPTS = ("sgd", "adam")
_MOST_MS, _MOST_SECONDS = 50.0, 2.0
_LIMIT_SECONDS = 1_800.0
_START_SECONDS = 60.0
_START_ROUNDS = 3  # as many times as others have, for an import takes one or two seconds, as it happens
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.005
_COPIED = ("epochs", "evaluations", "sessions", "tags")


def measure(workspace: Workspace) -> list[Row]:
    """The rows of the first start and of short runs."""
    base = _registry(workspace)
    ways = {"first start": lambda: first_start(workspace, base), "torch": _import_torch}
    starts = take_turns(ways, _START_ROUNDS * workspace.rounds, group="scheduling", unit="s")
    runs = QUICK_RUNS if workspace.quick else RUNS
    tiny = workspace.folder / "tiny"
    call("clips:write_tiny", folder=str(tiny))
    call("preparation:prepare", env={"KWS_CACHE": str(workspace.cache)}, folder=str(tiny))
    cells = {"short runs": lambda: short(workspace, tiny, runs)}
    rounds = 1 if workspace.quick else 3
    turns = take_turns(cells, rounds, group="scheduling", cell_seconds=_LIMIT_SECONDS)
    return [_start_row(starts, workspace), *_short_rows(turns, runs)]


def _short_rows(turns: Turns, runs: int) -> list[Row]:
    overhead = turns.samples("short runs", lambda done: done["overhead_ms"])
    training = turns.samples("short runs", lambda done: done["training_ms"])
    processes = turns.samples("short runs", lambda done: done["processes"])
    what = f"{runs:,} short runs in one sweep (cnn of 1,1 maps, 1 epoch)"
    note = turns.failures.get("short runs", "")
    if training and not note:
        note = (
            f"an epoch of each takes {training.median:.0f} ms; {cores()} at once, and the seconds count {cores()} times"
        )
    return [
        _row(f"{what}: what a run takes beyond its epoch", "ms", overhead, _MOST_MS, note),
        _row(f"{what}: processes that trained them", "", processes, cores(), ""),
    ]


def _start_row(turns: Turns, workspace: Workspace) -> Row:
    ours, theirs = turns.samples("first start"), turns.samples("torch")
    note = f"fc on {workspace.task[1]}; Python's own start and `import torch` count"
    row = _row(
        f"{PLANNED:,} planned runs of which {PLANNED - LEFT:,} are done: to the start of the first that is not",
        "s",
        ours,
        _MOST_SECONDS,
        next(iter(turns.failures.values()), note),
    )
    ratio = ours.over(theirs) if ours and theirs else None
    return replace(row, against='`python -c "import torch"`', theirs=theirs, ratio=ratio, reading="times")


def _import_torch() -> float:
    return wall([sys.executable, "-c", "import torch"])


def _row(what: str, unit: str, ours: Samples | None, most: float, note: str) -> Row:
    return Row(
        group="scheduling",
        what=what,
        unit=unit,
        ours=ours,
        wanted=f"at most {most:g} {unit}".strip(),
        holds=ours.median <= most if ours else None,
        note=note,
    )


def short(workspace: Workspace, data: Path, runs: int) -> dict[str, float]:
    """Sweep over so many seeds of a tiny run; milliseconds a run of training and of all else, and the processes."""
    from benchmarks.sweeping import forget, moments

    database = workspace.folder / "short.db"
    command = [*kws_program(), "sweep", "--arch", "cnn", "--maps", "1,1", "--opt", "sgd", "--epochs", "1"]
    command += ["--seeds", str(runs), "--batch-size", "8", "--data", str(data), "--db", str(database)]
    run(command, env=environment(KWS_CACHE=str(workspace.cache)), timeout_seconds=_LIMIT_SECONDS)
    begin, end = moments(database, "SELECT min(started_at), max(ended_at) FROM runs")
    with closing(sqlite3.connect(database)) as connection:
        (done, training) = connection.execute(
            "SELECT count(*), avg(milliseconds) FROM runs WHERE status = 'finished'"
        ).fetchone()
        (processes,) = connection.execute("SELECT count(DISTINCT pid) FROM sessions").fetchone()
    forget(database)
    if done != runs:
        raise CellError(f"{done} of {runs} runs are finished")
    each = 1000 * (end - begin) * cores() / runs
    return {"overhead_ms": each - training, "training_ms": training, "processes": processes}


def first_start(workspace: Workspace, base: Path) -> float:
    """The seconds from before `kws sweep` is started until its first new run starts."""
    from benchmarks.sweeping import forget

    database = workspace.folder / "planned.db"
    shutil.copyfile(base, database)
    about, log = environment(KWS_CACHE=str(workspace.cache)), workspace.folder / "planned.log"
    command = _planned(workspace, database, PLANNED // len(_OPTS))
    with log.open("wb") as err, closing(sqlite3.connect(database)) as connection:
        begun = time.time()
        process = subprocess.Popen(command, env=about, stdout=subprocess.DEVNULL, stderr=err)
        try:
            until = time.monotonic() + _START_SECONDS
            query = "SELECT started_at FROM runs WHERE key > ? ORDER BY started_at LIMIT 1"
            while not (found := connection.execute(query, (PLANNED - LEFT,)).fetchone()):
                if process.poll() is not None or time.monotonic() > until:
                    told = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                    raise CellError(f"no run was started: {told}")
                time.sleep(_LOOK_SECONDS)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                say("scheduling: it did not stop and was killed")
    forget(database)
    return datetime.fromisoformat(found[0]).timestamp() - begun


def _planned(workspace: Workspace, database: Path, seeds: int) -> list[str]:
    epochs, batch = ("2", "64") if workspace.quick else ("50", "1024")
    command = [*kws_program(), "sweep", "--arch", "fc", "--opt", ",".join(_OPTS), "--seeds", str(seeds)]
    command += ["--epochs", epochs, "--batch-size", batch, "--data", str(workspace.task[0])]
    return [*command, "--db", str(database)]


def _registry(workspace: Workspace) -> Path:
    """A registry of the plan's finished runs: those of one seed, as a sweep trains them, and copies of them."""
    path = workspace.folder / "planned-base.db"
    say(f"scheduling: making a registry of {PLANNED - LEFT:,} runs")
    run(_planned(workspace, path, 1), env=environment(KWS_CACHE=str(workspace.cache)), timeout_seconds=_LIMIT_SECONDS)
    call("scheduling:copy", path=str(path), runs=len(_OPTS), times=(PLANNED - LEFT) // len(_OPTS))
    return path


def copy(path: str, runs: int, times: int) -> None:
    """Have each of a registry's `runs` runs so many times, each time with the next seed.

    Runs in a process of its own.
    """
    from kws.recipe import Recipe

    def seeded(text: str, more: int) -> Recipe:
        recipe = Recipe.from_text(text)
        return replace(recipe, seed=recipe.seed + more)

    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("new_id", 0, lambda: secrets.token_hex(4))
        connection.create_function("recipe_of", 2, lambda text, more: seeded(text, more).text)
        connection.create_function("digest_of", 2, lambda text, more: seeded(text, more).digest)
        with connection:
            connection.execute("UPDATE weights SET safetensors = x'00'")
            connection.execute("DELETE FROM logits")
            connection.execute("CREATE TEMP TABLE copies (copy INTEGER)")
            connection.executemany("INSERT INTO copies VALUES (?)", ((number,) for number in range(1, times)))
            new = {"key": f"key + copy * {runs}", "run_key": f"run_key + copy * {runs}", "id": "new_id()"}
            new |= {"recipe_json": "recipe_of(recipe_json, copy)", "recipe_digest": "digest_of(recipe_json, copy)"}
            for table in ("trainings", *_COPIED):
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                values = ", ".join(new.get(column, column) for column in columns)
                key = "key" if table == "trainings" else "run_key"
                connection.execute(f"INSERT INTO {table} SELECT {values} FROM {table}, copies WHERE {key} <= {runs}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
