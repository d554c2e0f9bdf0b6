"""What is in a registry's file, told by SQL and by kws itself."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_CHILDREN = ("sessions", "tags", "epochs", "evaluations", "weights", "checkpoints")
_TIMES = {"run_key", "milliseconds", "processor_seconds", "evaluated_at"}


def damage(path: Path) -> list[str]:
    """What SQLite's integrity check finds; nothing for a file in order."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            return [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except sqlite3.Error as error:
        return [str(error)]


def findings(path: Path) -> list[tuple[str, str]]:
    """What `kws db doctor` finds: each a run's id and the problem."""
    from kws.registry import doctor

    return [(finding.run, finding.problem) for finding in doctor.examine(path)]


def statuses(path: Path) -> dict[str, str]:
    """The status of every run by its id, the oldest first; nothing where there is no registry yet."""
    from kws.registry.reader import RegistryReader

    if not path.exists():
        return {}
    with RegistryReader(path) as registry:
        return {run.id: run.status for run in registry.runs()}


def epochs_shown(path: Path, run_id: str) -> dict[int, str]:
    """A run's epochs by number, each with its figures as `kws train` says them."""
    query = (
        "SELECT epoch, train_loss, validation_loss, train_accuracy, epochs.validation_accuracy FROM epochs "
        "JOIN runs ON runs.key = run_key WHERE id = ?"
    )
    with closing(sqlite3.connect(path)) as connection:
        return {
            epoch: f"{train:.3f}/{validation:.3f}  accuracy {100 * right:.1f}/{100 * held_out:.1f}"
            for epoch, train, validation, right, held_out in connection.execute(query, (run_id,))
        }


def bits(path: Path, run_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """What must come out the same again: a run's epochs, answers and weights, all columns but times."""
    found = rows(path, run_id, without=_TIMES)
    return {table: found[table] for table in ("epochs", "evaluations", "weights")}


def rows(path: Path, run_id: str, *, without: set[str] | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a run by table, its own first; bytes as their SHA-256."""
    with closing(sqlite3.connect(path)) as connection:
        found = {"trainings": _rows(connection, "trainings", "id = ?", run_id, without or set())}
        for table in _CHILDREN:
            condition = "run_key = (SELECT key FROM trainings WHERE id = ?)"
            found[table] = _rows(connection, table, condition, run_id, without or set())
        condition = "data_fingerprint = (SELECT data_fingerprint FROM trainings WHERE id = ?)"
        return found | {"splits": _rows(connection, "splits", condition, run_id, without or set())}


def _rows(
    connection: sqlite3.Connection, table: str, condition: str, run_id: str, without: set[str]
) -> list[tuple[Any, ...]]:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in without]
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE {condition}"
    return [
        tuple(hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value for value in row)
        for row in connection.execute(query, (run_id,))
    ]
