"""Runs from one registry into another, ids kept: rows by their columns' names, with the data sets that they need.

A registry from elsewhere may hold anything. What is taken in must be readable, of the types that a run has, and under
an id that can be typed; otherwise nothing is taken in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from kws.errors import RegistryError
from kws.registry.connection import Database, new_file
from kws.registry.reader import RegistryReader
from kws.registry.runs import STATUSES, Run
from kws.registry.selection import Selection

BELONGINGS = (
    "sessions",
    "tags",
    "epochs",
    "evaluations",
    "logits",
    "weights",
    "checkpoints",
)  # the tables with a run_key
_LONGEST_ID = 32
Rows = list[dict[str, Any]]


def export(path: Path, run_ids: Sequence[str], to: Path) -> None:
    """Make a new registry at `to` that holds these runs. Raises RegistryError where there is something already."""
    with new_file(to) as temporary:
        _copy(path, temporary, run_ids)


def take_in(path: Path, source: Path) -> tuple[list[str], list[str]]:
    """Copy every run of the registry `source` into that at `path`; returns the ids copied and those already there.

    Raises RegistryError where a run of the source cannot be read, and then copies none.
    """
    with RegistryReader(source) as registry, registry.reading():
        for run in (*registry.runs(), *registry.runs(Selection(deleted=True))):
            _require_sound(registry, run)
    with closing(Database(source, create=False)) as database, database.reading() as connection:
        order = [row["id"] for row in connection.execute("SELECT id FROM runs ORDER BY key")]
    return _copy(source, path, order)


def _require_sound(registry: RegistryReader, run: Run) -> None:
    """Raise RegistryError where a run of a registry from elsewhere is not what a run can be."""
    if not (run.id.isascii() and run.id.isalnum() and len(run.id) <= _LONGEST_ID and run.status in STATUSES):
        raise RegistryError(f"{registry.path} is damaged: run {run.id!r} has an id or a status that cannot be")
    registry.card(run.data_fingerprint)
    for card, evaluation in registry.evaluations(run.id):
        registry.logits(run.id, card.fingerprint, evaluation.split)
    registry.epochs(run.id)
    registry.checkpoint(run.id)
    if registry.weights_digest(run.id) is not None:
        registry.weights(run.id)


def _copy(source: Path, target: Path, run_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    copied, known = [], []
    with (
        closing(Database(source, create=False)) as of,
        closing(Database(target, create=True)) as to,
        of.reading() as there,
        to.writing() as here,
    ):
        columns = {
            table: [column["name"] for column in here.execute(f"PRAGMA table_info({table})")]
            for table in ("data", "splits", "runs", *BELONGINGS)
        }
        for run_id in run_ids:
            if here.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
                known.append(run_id)
                continue
            try:
                run, belongings, data = _read(there, run_id, columns)
            except (sqlite3.Error, IndexError, RegistryError) as error:
                raise RegistryError(f"{source} is no whole registry ({error})") from None
            for table, rows in data.items():
                _put(here, table, rows)
            key = _put(here, "runs", [run | {"key": None}])
            for table, rows in belongings.items():
                _put(here, table, [row | {"run_key": key} for row in rows])
            copied.append(run_id)
    return copied, known


def _read(
    connection: Connection, run_id: str, columns: Mapping[str, list[str]]
) -> tuple[dict[str, Any], dict[str, Rows], dict[str, Rows]]:
    """A run's row, the rows that hang on it, and those of the data sets that it needs; our columns of each."""

    def select(table: str, where: str, value: Any) -> Rows:
        found = connection.execute(f"SELECT * FROM {table} WHERE {where} = ?", (value,)).fetchall()  # noqa: S608 - ours
        return [{name: row[name] for name in columns[table]} for row in found]

    found = select("runs", "id", run_id)
    if len(found) != 1:
        raise RegistryError(f"it has {len(found)} runs {run_id!r}")
    (run,) = found
    belongings = {table: select(table, "run_key", run["key"]) for table in BELONGINGS}
    if None in (run["id"], run["data_fingerprint"]):
        raise RegistryError("a run without an id or data cannot be copied")
    needed = sorted({run["data_fingerprint"], *(row["data_fingerprint"] for row in belongings["evaluations"])})
    data = {
        "data": [row for fingerprint in needed for row in select("data", "fingerprint", fingerprint)],
        "splits": [row for fingerprint in needed for row in select("splits", "data_fingerprint", fingerprint)],
    }
    if len(data["data"]) < len(needed):
        raise RegistryError(f"run {run_id} was on data that is not in its registry, and cannot be copied")
    return run, belongings, data


def _put(connection: Connection, table: str, rows: Rows) -> int | None:
    """Insert rows that are not there yet; returns the last one's key."""
    key = None
    for row in rows:
        names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - our names
        key = connection.execute(insert, row).lastrowid
    return key
