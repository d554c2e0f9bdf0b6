"""Rows of tables as dicts by column name: read from one registry, as those of another have them, and inserted there."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kws.registry import state_files
from kws.registry.protocols import Connection, Row, among, columns
from kws.registry.schema import BELONGINGS, TABLES, TRUTHS

LARGE = ("weights", "checkpoints")
SMALL = tuple(table for table in BELONGINGS if table not in LARGE)
_AT_ONCE = 20  # runs that are in memory at once, but for what may be large
Rows = list[dict[str, Any]]


def columns_of(connection: Connection) -> dict[str, list[str]]:
    """The columns of every table."""
    return {table: columns(connection, table) for table in TABLES}


def read_rows(connection: Connection, table: str, names: Sequence[str], where: str, value: Any) -> Rows:
    """Rows of a table as dicts by column name; booleans, which SQLite stores as 0 and 1, as bool."""
    select = f"SELECT * FROM {table} WHERE {where} = :value"  # noqa: S608 - our names
    return [_row(row, names) for row in connection.execute(select, {"value": value})]


def rows_among(connection: Connection, table: str, names: Sequence[str], column: str, keys: Sequence[Any]) -> Rows:
    """read_rows() of which a column has one of these values."""
    return [_row(row, names) for row in _select_among(connection, f"SELECT * FROM {table}", column, keys)]  # noqa: S608


def rows_by(
    connection: Connection, table: str, names: Sequence[str], column: str, keys: Sequence[Any]
) -> defaultdict[Any, Rows]:
    """The same by the value of that column."""
    found = defaultdict[Any, Rows](list)
    for row in rows_among(connection, table, names, column, keys):
        found[row[column]].append(row)
    return found


def _select_among(connection: Connection, select: str, column: str, keys: Sequence[Any]) -> Iterator[Row]:
    for where, about in among(column, keys):
        yield from connection.execute(f"{select} {where}", about)


def _row(row: Row, names: Sequence[str]) -> dict[str, Any]:
    made = {name: row[name] for name in names}
    for name in TRUTHS:
        if made.get(name) in (0, 1):
            made[name] = bool(made[name])
    return made


def in_parts(run_ids: Iterable[str]) -> Iterator[list[str]]:
    """A few ids at a time, each once."""
    left = iter(run_ids)
    while some := list(dict.fromkeys(itertools.islice(left, _AT_ONCE))):
        yield some


def put(connection: Connection, table: str, rows: Rows) -> None:
    """Insert the rows that are not there yet."""
    if rows:
        names, places = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", rows)  # noqa: S608


def large_rows(
    connection: Connection, table: str, names: Sequence[str], run: Mapping[str, Any], *, files: bool = True
) -> Rows:
    """A run's weights or checkpoint. One in a file is read from there, for a copy shares no file; not without `files`.

    There is none where the file of a checkpoint is gone: a newer one has replaced it since the snapshot, or it was
    removed, and the run begins anew. Raises RegistryError if a file cannot be had otherwise, or is damaged.
    """
    found = []
    for row in connection.execute(f"SELECT * FROM {table} WHERE run_key = :key", {"key": run["key"]}):  # noqa: S608 - ours
        there = row.keys()
        made = _row(row, [name for name in names if name in there])  # an older one may lack the URL
        if files and state_files.url_of(row):
            try:
                made["safetensors"] = state_files.whole(row, run["id"])
            except state_files.GoneError:
                if table == "checkpoints":
                    continue
                raise
            made.pop("url", None)
        found.append(made)
    return found
