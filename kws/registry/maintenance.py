"""Maintains a registry: shows its contents, backs it up, and purges runs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from kws.errors import RegistryError
from kws.registry import sources, state_files
from kws.registry.copying import copy_all
from kws.registry.failures import copying
from kws.registry.location import Location, ServerUrl
from kws.registry.new_files import new_file
from kws.registry.opening import open_database
from kws.registry.protocols import columns
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, STATUSES, Run
from kws.registry.schema import BELONGINGS, OF_DATA, SCHEMA_VERSION
from kws.registry.selection import Selection
from kws.registry.sqlite import Database

_JUDGED = """
SELECT split, split_fingerprint AS fingerprint, count(DISTINCT recipe) AS recipes, count(*) AS evaluations FROM tests
GROUP BY split, split_fingerprint ORDER BY recipes DESC, evaluations DESC, split_fingerprint
"""
_KEY = "SELECT key FROM trainings WHERE id = :id"
_LONG_SECONDS = 5.0


def info(path: Location) -> dict[str, Any]:
    """A registry's size, schema, runs by status, and how many recipes each split has judged, most first."""
    with RegistryReader(path) as registry:
        runs = [*registry.runs(), *registry.runs(Selection(deleted=True))]
        with registry.reading() as connection:
            size, free = registry.size()
            tables = {
                name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
                for name, table in (("data", "data"), ("runs", "trainings"), *((each, each) for each in _COUNTED))
            }
            judged = [dict(row) for row in connection.execute(_JUDGED)]
    return {
        "path": str(path),
        "registry_schema": SCHEMA_VERSION,
        "bytes": size,
        "bytes_free": free,
        "runs": {status: sum(run.status == status and not run.deleted_at for run in runs) for status in STATUSES},
        "deleted_runs": sum(run.deleted_at is not None for run in runs),
        "rows": tables,
        "judged": judged,
    }


_COUNTED = ("sources", *BELONGINGS, "tests")
ALL, BEST, NONE = "all", "best", "none"  # which runs' weights a backup contains


def back_up(path: Location, to: Path, *, weights: str = ALL, files: bool = True) -> int:
    """Copy one snapshot of a registry, compactly, while others may write; `to` appears whole or not at all.

    The copy has the weights of all runs, of none, or of each recipe's best seed on the validation split. Those that are
    in files are read from there, but without `files`. Returns how many runs' weights were left out. Raises
    RegistryError if `to` already exists or cannot be written, or if a file of weights cannot be read.
    """
    left_out = 0
    source = path if isinstance(path, Path) else None
    with new_file(to) as temporary, copying(source, to):
        if isinstance(path, ServerUrl):
            with RegistryReader(path) as registry, registry.reading() as there:
                copy_all(there, temporary, source=path, files=False)
        else:
            with closing(Database(path, create=False)) as of, of.untransacted() as connection, copying(source, to):
                connection.execute("VACUUM INTO ?", (str(temporary),))
        kept: set[str] = set()
        if weights == BEST:
            with RegistryReader(temporary) as copied:
                kept = best_seeds(copied.runs())
        with closing(sqlite3.connect(temporary)) as copy:
            if weights != ALL:
                marks = ", ".join("?" * len(kept))
                keys = f"SELECT key FROM trainings WHERE id IN ({marks})"  # noqa: S608 - question marks
                dropped = copy.execute(f"DELETE FROM weights WHERE run_key NOT IN ({keys})", sorted(kept))  # noqa: S608
                left_out = dropped.rowcount
                copy.commit()
                copy.execute("VACUUM")
            if files:
                _take_in_files(copy)
            copy.execute("PRAGMA journal_mode = WAL")
    return left_out


def _take_in_files(copy: sqlite3.Connection) -> None:
    """Put weights and checkpoints that are in files into a copy, so that it needs none of these.

    Raises RegistryError if weights cannot be had; a checkpoint may have been replaced meanwhile, and stays where it is.
    """
    copy.row_factory = sqlite3.Row
    there = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in ("weights", "checkpoints"):
        if table not in there or "url" not in columns(copy, table):
            continue
        found = copy.execute(f"SELECT run_key, id FROM {table} JOIN trainings ON run_key = key WHERE url IS NOT NULL")  # noqa: S608
        for key, run_id in found.fetchall():
            row = copy.execute(f"SELECT * FROM {table} WHERE run_key = ?", (key,)).fetchone()  # noqa: S608 - our names
            try:
                data = state_files.whole(row, run_id)
            except RegistryError as error:
                if table == "checkpoints":
                    continue
                advice = "`kws db backup --weights none` leaves all weights out"
                raise RegistryError(f"the weights of run {run_id}: {error}; {advice}") from None
            copy.execute(f"UPDATE {table} SET safetensors = ?, url = NULL WHERE run_key = ?", (data, key))  # noqa: S608
    copy.commit()


def best_seeds(runs: Iterable[Run]) -> set[str]:
    """The ids of the best finished run of each recipe on each data set, by validation accuracy."""
    best: dict[tuple[str, str], Run] = {}
    for run in runs:
        if run.status == FINISHED and run.validation_accuracy is not None:
            kind = run.data_fingerprint, run.recipe.cell
            rival = best.get(kind)
            if rival is None or run.validation_accuracy > (rival.validation_accuracy or 0.0):
                best[kind] = run
    return {run.id for run in best.values()}


def purge(path: Location, run_ids: list[str]) -> list[tuple[str, str]]:
    """Remove runs for good, with their files and data sets and sources that no run needs any more; free their space.

    Their entries in the ledger of tests stay. Returns the files that could not be removed, each with the reason. A
    place that was long in saying so is not asked again.
    """
    with closing(open_database(path, create=False)) as database:
        left: list[tuple[str, str]] = []  # files, and the runs they are of
        with database.writing() as connection:
            with_urls = [table for table in ("weights", "checkpoints") if "url" in columns(connection, table)]
            for run_id in run_ids:
                for table in with_urls:
                    found = connection.execute(f"SELECT url FROM {table} WHERE run_key = ({_KEY})", {"id": run_id})  # noqa: S608
                    left += [(row["url"], run_id) for row in found if row["url"]]
                for table in BELONGINGS:
                    connection.execute(f"DELETE FROM {table} WHERE run_key = ({_KEY})", {"id": run_id})  # noqa: S608 - our names
                connection.execute("DELETE FROM trainings WHERE id = :id", {"id": run_id})
            unneeded = "NOT IN (SELECT data_fingerprint FROM trainings UNION SELECT data_fingerprint FROM evaluations)"
            for table, key in reversed(OF_DATA.items()):
                connection.execute(f"DELETE FROM {table} WHERE {key} {unneeded}")  # noqa: S608 - as above
            sources.drop_unneeded(connection)
        stayed: dict[str, str] = {}  # why, by places
        kept = []
        for url, run_id in left:
            place = str(url).rpartition("/")[0]
            start = time.monotonic()
            if why := stayed.get(place) or state_files.remove(url, run_id):
                kept.append((url, why))
                if time.monotonic() - start > _LONG_SECONDS:
                    stayed[place] = why
        database.vacuum()
    return kept
