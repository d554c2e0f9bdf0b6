"""Later columns: what a table has got since the schema's number was given, added where the first run begins after that.

They may be NULL, and nothing that an older registry holds needs them: so it is read as it is, and copied by nobody.
"""

from __future__ import annotations

from kws.registry.protocols import Connection, columns
from kws.registry.view import is_server

_LATER = {"weights": ("url",)}


def require(connection: Connection) -> None:
    """Add the columns that are lacking, in a transaction that holds the write lock."""
    for table, names in _LATER.items():
        there = columns(connection, table)
        for name in names:
            if name not in there:
                text = 'TEXT COLLATE "C"' if is_server(connection) else "TEXT"
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {text}")
