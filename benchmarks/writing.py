"""Many processes that record runs into one registry at once: transactions a second, in SQLite and in PostgreSQL.

- A process records runs of 50 epochs, 10 iterations each: a transaction at its start, one an epoch, and one at its end
  with its answers on the test split; with the weights of a cnn (1.4 MB), or with a byte in their place.
- The seconds count from when the first process begins until the last one has ended, all of them having imported, opened
  the registry and drawn what they record before. So one process alone says how long a transaction takes, and many how
  many the registry takes.
- Both registries lie on the same disk and wait for it at each commit: SQLite with synchronous=FULL, as kws sets it,
  PostgreSQL as it comes (fsync and synchronous_commit on). The server is one of its own on this machine, so that its
  processes and the writers share the cores.
- What the disk itself takes for a commit is there beside them: 8 KiB written at the end of a file, and fsync.
- An error is a process that failed; a row that is not there in the end is told, too.
- The weights are those of a run in the committed experiments.db, for a server may try to compress what it is given.
- Taking on a run is how a sweep begins one: a transaction that looks for equal runs first, while no other may write.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import ledger
from benchmarks.measure import REPOSITORY, CellError, Turns, call, environment, say, take_turns, timed
from benchmarks.report import Row
from benchmarks.workspace import Workspace

GROUP = "writers"
FILE, SERVER = "SQLite", "PostgreSQL"
PROCESSES = (1, 4, 16)
WEIGHTS_BYTES = 1_385_020  # of the cnn
TRANSACTIONS = ledger.EPOCHS + 2
DISK = "8 KiB at the end of a file, and fsync: what the disk takes for a commit"
CLAIMED, _CLAIMS = 10_000, 100
TOGETHER = {"claims": "taking on a run", "ends": "the end of a run, without weights,"}
_MANY = 32  # in one transaction
_ROUNDS = 3
_RUNS = 48  # all processes together
_SECONDS = 180.0
_ROWS = {
    "runs": "SELECT count(*) FROM trainings WHERE status = 'finished' AND epochs_done = 50",
    "epochs": "SELECT count(*) FROM epochs",
    "evaluations": "SELECT count(*) FROM evaluations",
    "logits": "SELECT count(*) FROM logits",
    "weights": "SELECT count(*) FROM weights WHERE length(safetensors) = :size",
}


def measure(workspace: Workspace) -> list[Row]:
    """The rows of many writers."""
    runs = max(PROCESSES) if workspace.quick else _RUNS
    with server() as (made, missing):
        places = [FILE, SERVER] if made else [FILE]
        cells: dict[str, Any] = {DISK: lambda: call("writing:commits", path=str(workspace.folder / "commits"))}
        for place in places:
            for weights in (False, True):
                for processes in PROCESSES:
                    cells[named(place, processes, weights=weights)] = lambda p=place, n=processes, w=weights: turn(
                        new_place(workspace, p, made), n, runs // n, WEIGHTS_BYTES if w else 1
                    )
        for place in places:
            cells[claimed(place)] = _claims(workspace, place, made)
        if made:
            for what in TOGETHER:
                cells[together(what)] = lambda what=what: call(
                    f"writing:{what}_together", db=new_place(workspace, SERVER, made)
                )
        turns = take_turns(cells, 1 if workspace.quick else _ROUNDS, group=GROUP)
    rows = [_row(turns, DISK, "ms", "")]
    for place in (FILE, SERVER):
        note = missing if place == SERVER else ""
        rows += [_row(turns, named(place, n, weights=w), "/s", note, "rate") for w in (False, True) for n in PROCESSES]
        rows += [_row(turns, claimed(place), "ms", note), *_faults(turns, place, note)]
    return [*rows, *(_row(turns, together(what), "ms", missing) for what in TOGETHER)]


def named(place: str, processes: int, *, weights: bool) -> str:
    """What a row is called."""
    who = "1 process" if processes == 1 else f"{processes} processes"
    return f"{who} into {place}, {'with' if weights else 'without'} weights: transactions"


def claimed(place: str) -> str:
    """What the row of claims is called."""
    return f"taking on a run in {place} that holds {CLAIMED:,} others"


def together(what: str) -> str:
    """What the row of claims or ends that a relay makes in one transaction is called."""
    return f"{TOGETHER[what]} more in the same transaction in {SERVER}"


def _row(turns: Turns, what: str, unit: str, note: str, key: str | None = None) -> Row:
    read = (lambda done: done[key]) if key else float
    return Row(
        group=GROUP, what=what, unit=unit, ours=turns.samples(what, read), note=turns.failures.get(what, "") or note
    )


def _faults(turns: Turns, place: str, note: str) -> list[Row]:
    """What went wrong with the most writers, with weights and without."""
    most, rows = max(PROCESSES), []
    for what, key in (("errors", "errors"), ("rows that are not there in the end", "missing")):
        found = [turns.samples(named(place, most, weights=w), lambda done, key=key: done[key]) for w in (False, True)]
        sums = found[0].map(float) if found[0] else None
        if found[0] and found[1]:
            sums = found[0].minus(found[1].map(lambda value: -value))
        rows.append(
            Row(
                group=GROUP,
                what=f"{most} processes into {place}: {what}",
                ours=sums,
                wanted="0",
                holds=sums.most == 0 if sums else None,
                note=note,
            )
        )
    return rows


@contextmanager
def server(connections: int = 100) -> Iterator[tuple[Any, str]]:
    """A server that waits for the disk, or None and why there is none."""
    sys.path[:0] = [] if str(REPOSITORY) in sys.path else [str(REPOSITORY)]
    from tests.server import Server, missing

    if reason := missing():
        say(f"{GROUP}: {reason}")
        yield None, reason
        return
    made = Server(durable=True, connections=connections)
    try:
        yield made, ""
    finally:
        made.close()


def new_place(workspace: Workspace, place: str, server: Any) -> str:
    """A place for a new registry."""
    if place == SERVER:
        return server.url(server.new_schema())
    folder = workspace.folder / "written"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return str(folder / "runs.db")


def turn(db: str, processes: int, runs: int, weights: int) -> dict[str, float]:
    """Have so many processes record so many runs each: transactions a second, errors, and rows that are not there."""
    call("writing:create", db=db)
    command = [sys.executable, "-m", "benchmarks.writing", db, str(runs), str(weights)]
    begun = [
        subprocess.Popen(
            [*command, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for number in range(processes)
    ]
    try:
        for process in begun:
            process.stdout.readline()  # type: ignore[union-attr]  # it is ready
        for process in begun:
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        done, errors = [], 0
        for process in begun:
            out, err = process.communicate(timeout=_SECONDS)
            if process.returncode:
                errors += 1
                say(f"{GROUP}: {(err.strip().splitlines() or ['it said nothing'])[-1][:300]}")
            else:
                done.append(json.loads(out))
    except (subprocess.TimeoutExpired, BrokenPipeError):
        raise CellError(f"took more than {_SECONDS:g} s, or ended before it began") from None
    finally:
        for process in begun:
            process.kill()
            process.wait()
    if not done:
        raise CellError("all processes failed")
    seconds = max(end for _, end in done) - min(begin for begin, _ in done)
    lacking = call("writing:lacking", db=db, runs=runs * processes, size=weights)
    return {"rate": len(done) * runs * TRANSACTIONS / seconds, "errors": errors, "missing": lacking}


def main() -> None:
    """One writer: say that it is ready, wait for a line, record, and say when it began and ended."""
    db, runs, size, number = sys.argv[1], *map(int, sys.argv[2:])
    from kws.registry.location import locate
    from kws.registry.store import Registry

    draw = random.Random(number)
    weights = _weights(size)
    made = [ledger.make(number * runs + i, draw) for i in range(runs)]
    with Registry(locate(db)) as registry:
        registry.runs()
        print("ready", flush=True)
        sys.stdin.readline()
        begin = time.monotonic()
        for each in made:
            each.keep(registry, weights)
        print(json.dumps([begin, time.monotonic()]), flush=True)


def _weights(size: int) -> bytes:
    """Weights of so many bytes; one byte in their place is any."""
    registry = f"{(REPOSITORY / 'experiments.db').as_uri()}?mode=ro&immutable=1"
    query = "SELECT safetensors FROM weights WHERE length(safetensors) = ? LIMIT 1"
    with closing(sqlite3.connect(registry, uri=True)) as connection:
        return b"x" if size == 1 else connection.execute(query, (size,)).fetchone()[0]


def create(db: str) -> None:
    """Make an empty registry. Runs in a process of its own."""
    from kws.registry.location import locate
    from kws.registry.store import Registry

    with Registry(locate(db), create=True):
        pass


def lacking(db: str, runs: int, size: int) -> int:
    """How many rows are not there of so many runs. Runs in a process of its own."""
    from kws.registry.location import locate
    from kws.registry.reader import RegistryReader

    with RegistryReader(locate(db)) as registry, registry.reading() as connection:
        found = {table: connection.execute(query, {"size": size}).fetchone()[0] for table, query in _ROWS.items()}
    return sum(abs(runs * (ledger.EPOCHS if table == "epochs" else 1) - count) for table, count in found.items())


def commits(path: str) -> float:
    """The milliseconds of a write of 8 KiB and its fsync, the median of 200. Runs in a process of its own."""
    data = os.urandom(8192)
    with Path(path).open("ab", buffering=0) as file:

        def commit() -> None:
            file.write(data)
            os.fsync(file.fileno())

        return 1000 * statistics.median(timed(commit, warm=10, repeats=200))


def _claims(workspace: Workspace, place: str, server: Any) -> Callable[[], float]:
    """A cell that takes on runs in a registry that holds others."""
    db: list[str] = []

    def cell() -> float:
        if not db:
            db.append(server.url(server.new_schema()) if place == SERVER else str(workspace.folder / "claimed.db"))
            call("writing:fill", db=db[0], runs=CLAIMED)
        return call("writing:claims", db=db[0])

    return cell


def fill(db: str, runs: int) -> None:
    """Make a registry with a finished run, and copies of its row with other seeds. Runs in a process of its own."""
    from kws.recipe import Recipe
    from kws.registry import encoding
    from kws.registry.claims import Claimer
    from kws.registry.location import locate

    draw = random.Random(0)
    with Claimer(locate(db), create=True) as registry:
        ledger.make(0, draw).keep(registry)
        with registry.database.writing() as connection:
            row = dict(connection.execute("SELECT * FROM trainings").fetchone())
            del row["key"]
            recipe = Recipe.from_text(row["recipe_json"])
            command = f"INSERT INTO trainings ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"
            for seed in range(1, runs):
                other = encoding.of_recipe(dataclasses.replace(recipe, seed=seed))
                connection.execute(command, row | {"id": f"{seed:08x}"} | other)


def claims(db: str) -> float:
    """The milliseconds of taking on a run that is new, the median of 100. Runs in a process of its own."""
    from kws.registry.claims import Claimer, Wanted
    from kws.registry.location import locate

    draw, taken = random.Random(time.time_ns()), []
    with Claimer(locate(db)) as registry:
        for _ in range(_CLAIMS + 5):  # the first ones open what the others find open
            each = ledger.make(4 * draw.randrange(10**6, 10**9), draw)
            about: dict[str, Any] = {"environment": each.environment, "parameters": 346_067}
            begin = time.perf_counter()
            wanted = Wanted.of(each.recipe, each.card, retry=False, multiply_accumulates=None, **about)
            found = registry.claim(wanted)
            taken.append(1000 * (time.perf_counter() - begin))
            registry.end(found.run, "interrupted")
    return statistics.median(taken[5:])


def claims_together(db: str) -> float:
    """The milliseconds of a claim more in a transaction, as a relay makes them. Runs in a process of its own."""
    from kws.registry.claims import Claimer
    from kws.registry.location import locate

    draw = random.Random(time.time_ns())
    with Claimer(locate(db), create=True) as registry:
        return _more(lambda many: _claim(registry, many, draw)[0])


def ends_together(db: str) -> float:
    """The milliseconds of a run's end more in a transaction, as a relay records it. Runs in a process of its own."""
    from kws.registry import entries, records
    from kws.registry.claims import Claimer
    from kws.registry.finishing import Ending
    from kws.registry.location import locate

    draw = random.Random(time.time_ns())
    with Claimer(locate(db), create=True) as registry:

        def end(many: int) -> float:
            _, begun = _claim(registry, many, draw)
            batches = [
                records.Batch(
                    run=run,
                    session=registry.sessions[run],
                    ending=Ending.of(run, each.evaluation, None, each.card, b"w", None),
                )
                for run, each in begun
            ]
            begin = time.perf_counter()
            with registry.database.writing(*(run for run, _ in begun)) as connection:
                keys = [registry.key(connection, run) for run, _ in begun]
                records.record(connection, keys, batches, entries.now())
                [*registry.ended(connection, keys)]
            return time.perf_counter() - begin

        return _more(end)


def _claim(registry: Any, many: int, draw: random.Random) -> tuple[float, list[tuple[str, Any]]]:
    """Take on so many new runs in one transaction; the seconds, and each run's id and what is to be recorded of it."""
    from kws.registry.claims import Wanted

    made = [ledger.make(4 * draw.randrange(10**6, 10**9), draw) for _ in range(many)]
    about: dict[str, Any] = {"retry": False, "parameters": 346_067, "multiply_accumulates": None}
    asked = [(registry, Wanted.of(each.recipe, each.card, environment=each.environment, **about)) for each in made]
    begin = time.perf_counter()
    with registry.database.writing() as connection:
        found = registry.claim_all(connection, asked)
    registry.has_begun()
    return time.perf_counter() - begin, [(claim.run, each) for claim, each in zip(found, made, strict=True)]


def _more(transaction: Callable[[int], float]) -> float:
    """The milliseconds that one thing more adds to a transaction that takes so many, the median of 10."""
    transaction(_MANY)  # it opens what the others find open
    return statistics.median(1000 * (transaction(_MANY) - transaction(1)) / (_MANY - 1) for _ in range(10))


if __name__ == "__main__":
    main()
