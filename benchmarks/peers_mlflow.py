"""MLflow with its SQLite store: recording by log_batch once an epoch, and comparing by search_runs.

A store of many runs is four runs recorded through its API and their rows copied by SQL, since recording a thousand
takes minutes. Each function runs in a process of its own.
"""

from __future__ import annotations

import random
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks import ledger

EXPERIMENT = "kws"
# What a user would type to see the best test accuracy of each network and optimizer.
BEST = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name("kws").experiment_id
for arch in ("fc", "cnn"):
    for opt in ("sgd", "adam"):
        wanted = f"params.arch = '{arch}' and params.opt = '{opt}'"
        best, = client.search_runs([experiment], wanted, max_results=1, order_by=["metrics.test_accuracy DESC"])
        print(arch, opt, best.data.metrics["test_accuracy"])
"""
ALL = """
import sys
from collections import defaultdict
from statistics import mean
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name("kws").experiment_id
cells, token = defaultdict(list), None
while True:
    page = client.search_runs([experiment], max_results=50_000, page_token=token)
    for run in page:
        cells[run.data.params["arch"], run.data.params["opt"]].append(run.data.metrics["test_accuracy"])
    token = page.token
    if not token:
        break
for cell, values in sorted(cells.items()):
    print(*cell, len(values), mean(values))
"""
LIST = """
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name("kws").experiment_id
for run in client.search_runs([experiment], max_results=50_000, order_by=["attributes.start_time ASC"]):
    print(run.info.run_id, run.info.status, run.info.start_time, *run.data.params.values(), *run.data.metrics.values())
"""


def uri(path: str) -> str:
    """The store's address."""
    return f"sqlite:///{path}"


def record(path: str, runs: int, warm: int = 1) -> list[float]:
    """The seconds of recording each of so many runs, after some that do not count."""
    client, experiment = _open(path)
    draw = random.Random(0)
    return [_record(client, experiment, number, draw) for number in range(warm + runs)][warm:]


def build(path: str, runs: int) -> None:
    """Make a store with so many runs."""
    client, experiment = _open(path)
    draw = random.Random(0)
    for number in range(len(ledger.CELLS)):
        _record(client, experiment, number, draw)
    connection = sqlite3.connect(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}
    with connection:
        made = [row[0] for row in connection.execute("SELECT run_uuid FROM runs ORDER BY start_time")]
        connection.execute("CREATE TEMP TABLE copies (old TEXT, new TEXT)")
        copies = [(made[number % len(made)], uuid.uuid4().hex) for number in range(len(made), runs)]
        connection.executemany("INSERT INTO copies VALUES (?, ?)", copies)
        for name in names:
            if "run_uuid" in columns[name]:
                taken = ", ".join("new" if column == "run_uuid" else f'"{column}"' for column in columns[name])
                chosen = f"SELECT {taken} FROM copies JOIN {name} ON {name}.run_uuid = old ORDER BY copies.rowid"
                connection.execute(f"INSERT INTO {name} {chosen}")
        connection.execute(
            "UPDATE latest_metrics SET value = 0.9 + abs(random() % 1000) / 1e5 WHERE key = 'test_accuracy'"
        )
    connection.close()


def _open(path: str) -> tuple[Any, str]:
    from mlflow import MlflowClient

    client = MlflowClient(uri(path))
    found = client.get_experiment_by_name(EXPERIMENT)
    if found:
        return client, found.experiment_id
    return client, client.create_experiment(EXPERIMENT, artifact_location=Path(path).with_suffix(".artifacts").as_uri())


def _record(client: Any, experiment: str, number: int, draw: random.Random) -> float:
    from mlflow.entities import Metric, Param

    about = [Param(name, str(value)) for name, value in ledger.parameters(number).items()]
    epochs = [ledger.metrics(epoch, draw) for epoch in range(1, ledger.EPOCHS + 1)]
    start = time.perf_counter()
    run_id = client.create_run(experiment).info.run_id
    client.log_batch(run_id, params=about)
    for epoch, values in enumerate(epochs, start=1):
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(name, value, now, epoch) for name, value in values.items()])
    client.log_metric(run_id, "test_accuracy", 0.9)
    client.set_terminated(run_id)
    return time.perf_counter() - start
