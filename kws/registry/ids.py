"""Run ids for completion in a shell: read straight by sqlite3, since every key press waits for it."""

import os
import sqlite3
from pathlib import Path


def beginning_with(path: Path, beginning: str) -> list[str]:
    """The ids in a registry that begin so, the newest first; none where there is no registry."""
    # As in kws.registry.connection: in a folder that cannot be written, the file is read as it lies there. Elsewhere it
    # is opened for writing too, for SQLite's last reader then takes its -wal and -shm files away.
    writable = os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)
    mode = "rw" if writable else "ro" if Path(f"{path}-wal").exists() else "ro&immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)
        try:
            rows = connection.execute("SELECT id FROM runs WHERE instr(id, ?) = 1 ORDER BY key DESC", (beginning,))
            return [row[0] for row in rows]
        finally:
            connection.close()
    except sqlite3.Error:
        return []
