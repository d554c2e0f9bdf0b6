"""For tests of sweeps: a task that all commands of a module share, and what is in a registry while others write it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sounds import write_task

DIGESTS = "SELECT opt, seed, sha256 FROM runs JOIN weights ON run_key = key ORDER BY opt, seed"


@contextmanager
def shared_task(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[SimpleNamespace]:
    """A folder with a task, and a cache in it that is the commands' own as long as this lasts."""
    folder = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        yield SimpleNamespace(folder=folder, cache=folder / "cache", task=write_task(folder / "task"))


def rows(db: Path, query: str) -> list[tuple]:
    """What a registry answers that another process may only just be making."""
    try:
        with closing(sqlite3.connect(db)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:  # it is not there yet
        return []
