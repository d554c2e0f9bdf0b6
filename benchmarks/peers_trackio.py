"""Trackio with its local SQLite file: recording by init(), log() and finish(), comparing by its own SQL command.

Trackio writes every half second from a thread; what is timed ends when finish() has written all. A file of many runs is
four runs recorded through its API and their rows copied by SQL. Each function runs in a process of its own, whose
TRACKIO_DIR is the folder.
"""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from pathlib import Path

from benchmarks import ledger

PROJECT = "kws"
BEST = (
    "SELECT json_extract(c.config, '$.arch') AS arch, json_extract(c.config, '$.opt') AS opt, "
    "max(json_extract(m.metrics, '$.test_accuracy')) AS best "
    "FROM configs c JOIN metrics m ON m.run_id = c.run_id GROUP BY 1, 2"
)


def record(runs: int, warm: int = 1) -> list[float]:
    """The seconds of recording each of so many runs, after some that do not count."""
    draw = random.Random(0)
    return [_record(number, draw) for number in range(warm + runs)][warm:]


def build(folder: str, runs: int) -> None:
    """Make a project with so many runs."""
    draw = random.Random(0)
    for number in range(len(ledger.CELLS)):
        _record(number, draw)
    connection = sqlite3.connect(Path(folder) / f"{PROJECT}.db")
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}
    with connection:
        made = [row[0] for row in connection.execute("SELECT run_id FROM configs ORDER BY id")]
        connection.execute("CREATE TEMP TABLE copies (old TEXT, new TEXT, name TEXT)")
        copies = [(made[n % len(made)], uuid.uuid4().hex, f"run-{n}") for n in range(len(made), runs)]
        connection.executemany("INSERT INTO copies VALUES (?, ?, ?)", copies)
        new = {"run_id": "new", "run_name": "copies.name", "log_id": "lower(hex(randomblob(16)))"}
        for name in names:
            if "run_id" in columns[name]:
                kept = [column for column in columns[name] if column != "id"]
                taken = ", ".join(new.get(column, f'{name}."{column}"') for column in kept)
                chosen = f"SELECT {taken} FROM copies JOIN {name} ON {name}.run_id = old ORDER BY copies.rowid"
                connection.execute(f"INSERT INTO {name} ({', '.join(kept)}) {chosen}")
    connection.close()


def _record(number: int, draw: random.Random) -> float:
    import trackio

    about = ledger.parameters(number)
    epochs = [ledger.metrics(epoch, draw) for epoch in range(1, ledger.EPOCHS + 1)]
    name = f"run-{uuid.uuid4().hex[:8]}"
    start = time.perf_counter()
    trackio.init(project=PROJECT, name=name, config=about, embed=False, auto_log_cpu=False, auto_log_gpu=False)
    for values in epochs:
        trackio.log(values)
    trackio.log({"test_accuracy": 0.9})
    trackio.finish()
    return time.perf_counter() - start
