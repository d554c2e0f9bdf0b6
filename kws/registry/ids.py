"""Run ids for completion in a shell: every key press waits for it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from kws.registry.connection import open_file


def beginning_with(path: Path, beginning: str) -> list[str]:
    """The ids in a registry that begin so, the newest first; none where there is no registry."""
    if not path.is_file():
        return []
    try:
        with closing(open_file(path)) as connection:
            rows = connection.execute("SELECT id FROM runs WHERE instr(id, ?) = 1 ORDER BY key DESC", (beginning,))
            return [row[0] for row in rows]
    except sqlite3.Error:
        return []
