"""Later columns: what a table has got since the schema's number was given, added once somebody needs it.

They may be NULL, and nothing that an older registry holds needs them: so it is read as it is, and copied by nobody.
"""

from __future__ import annotations

from kws.registry.protocols import Connection, columns
from kws.registry.view import is_server

_LATER = {"weights": ("url",)}


def lacking(connection: Connection) -> list[str]:
    """The SQL that adds what is lacking."""
    text = 'TEXT COLLATE "C"' if is_server(connection) else "TEXT"
    return [
        f"ALTER TABLE {table} ADD COLUMN {name} {text}"
        for table, names in _LATER.items()
        for name in names
        if name not in columns(connection, table)
    ]
