"""Run ids for completion in a shell: read straight by sqlite3, since every key press waits for it."""

import sqlite3
from pathlib import Path


def beginning_with(path: Path, beginning: str) -> list[str]:
    """The ids in a registry that begin so, the newest first; none where there is no registry."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT id FROM runs WHERE instr(id, ?) = 1 ORDER BY key DESC", (beginning,))
            return [row[0] for row in rows]
        finally:
            connection.close()
    except sqlite3.Error:
        return []
