"""Keeping a registry: what is in it, copies of it, and what is deleted for good."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from kws.registry.connection import SCHEMA_VERSION, Database, new_file
from kws.registry.reader import RegistryReader
from kws.registry.runs import STATUSES
from kws.registry.selection import Selection
from kws.registry.transfer import BELONGINGS


def info(path: Path) -> dict[str, Any]:
    """A registry's size, schema and runs by status."""
    with RegistryReader(path) as registry:
        runs = [*registry.runs(), *registry.runs(Selection(deleted=True))]
        with registry.reading() as connection:
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            tables = {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
                for table in ("data", "runs", *BELONGINGS)
            }
    return {
        "path": str(path),
        "registry_schema": SCHEMA_VERSION,
        "bytes": pages * size,
        "bytes_free": free * size,
        "runs": {status: sum(run.status == status and not run.deleted_at for run in runs) for status in STATUSES},
        "deleted_runs": sum(run.deleted_at is not None for run in runs),
        "rows": tables,
    }


def back_up(path: Path, to: Path) -> None:
    """Copy a registry, compactly, as it is at this moment, while others write; `to` appears whole or not at all.

    Raises RegistryError where there is something at `to`, or it cannot be written.
    """
    with new_file(to) as temporary:
        with closing(Database(path, create=False)) as database, database.untransacted() as connection:
            connection.execute("VACUUM INTO ?", (str(temporary),))
        with closing(sqlite3.connect(temporary)) as copy:
            copy.execute("PRAGMA journal_mode = WAL")


def purge(path: Path, run_ids: list[str]) -> None:
    """Remove runs for good, data sets that no run needs any more with them, and give their space back."""
    with closing(Database(path, create=False)) as database:
        with database.writing() as connection:
            for run_id in run_ids:
                (key,) = connection.execute("SELECT key FROM runs WHERE id = ?", (run_id,)).fetchone()
                for table in BELONGINGS:
                    connection.execute(f"DELETE FROM {table} WHERE run_key = ?", (key,))  # noqa: S608 - our names
                connection.execute("DELETE FROM runs WHERE key = ?", (key,))
            unneeded = "NOT IN (SELECT data_fingerprint FROM runs UNION SELECT data_fingerprint FROM evaluations)"
            connection.execute(f"DELETE FROM splits WHERE data_fingerprint {unneeded}")  # noqa: S608 - as above
            connection.execute(f"DELETE FROM data WHERE fingerprint {unneeded}")  # noqa: S608 - as above
        with database.untransacted() as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
