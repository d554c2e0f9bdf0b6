"""Backend: the interface for reading and writing a registry, in a file (SQLite) or on a server (PostgreSQL).

Our SQL is the common subset of both, with parameters as :name. Where they differ, the Backend has a method: no layer
translates one dialect into the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

_AT_ONCE = 500


class Row(Protocol):
    """A row: indexed by number or name; it can be unpacked or passed to dict()."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def keys(self) -> Any:
        """The columns' names."""


class Cursor(Protocol):
    """A statement's result."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    @property
    def description(self) -> Any:
        """The columns, each a tuple that starts with the name; None if there are none."""

    def __iter__(self) -> Iterator[Any]: ...
    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All remaining rows."""


class Connection(Protocol):
    """Runs SQL within a transaction."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> Any:
        """Run one statement for each set of parameters."""


class Reading(Connection, Protocol):
    """Runs SQL within a transaction that reads."""

    def stream(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Any:
        """An iterator over a query's rows, with close(): as they come, and of columns of the tables alone.

        A server's rows are otherwise all fetched before the first one is there. Nothing else can be asked meanwhile.
        """


class Writing(Connection, Protocol):
    """Runs SQL within a transaction that writes."""

    def counts(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> list[int]:
        """Run one statement for each set of parameters; returns how many rows each changed."""

    def returned(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> list[Any]:
        """Run one statement for each set of parameters; returns the row that each returns."""

    def fill(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Insert many new rows, given the values of these columns."""


class Backend(Protocol):
    """An open registry; for one thread at a time. Every method raises RegistryError if it cannot be used."""

    again_seconds: float  # for how long a read tries to reach a server that is away
    generation: int  # changes whenever it is reopened, e.g. because another file is at its path

    @property
    def identity(self) -> object:
        """Identifies the file at the path; the same value as long as it is the same file."""

    def reading(self) -> AbstractContextManager[Reading]:
        """A connection that sees one snapshot of the registry; inside another transaction, that one's snapshot."""

    def writing(self, *runs: str) -> AbstractContextManager[Writing]:
        """A transaction that holds the write lock, or only those of `runs`; it is committed whole or rolled back."""

    def is_writable(self) -> bool:
        """Whether the registry can be written."""

    def version(self, connection: Connection) -> object:
        """A value that changes whenever someone else changes something; call within reading()."""

    def size(self, connection: Connection) -> tuple[int, int | None]:
        """Bytes on disk, and how many of them are free (None if not known); call within reading()."""

    def check(self, connection: Connection) -> list[str]:
        """Problems of the database itself, a sentence each; call within reading()."""

    def trim(self) -> None:
        """Free the space of a deleted checkpoint, if that is quick."""

    def vacuum(self) -> None:
        """Free all unused space."""

    def hold(self, run: str, session: int) -> None:
        """Start recording a run: until release(), no other database may take this one's place."""

    def confirm(self, run: str, beat: str, *, thoroughly: bool = False) -> None:
        """Check that the commit with this heartbeat, of a run passed to hold(), is where others look for it.

        Raises kws.registry.binding.ReplacedError if it is not.
        """

    def release(self, run: str) -> None:
        """Stop recording the run."""

    def abandon(self) -> None:
        """Close a database that another one has replaced, and forget the runs recorded in it."""

    def close(self) -> None:
        """Close the registry."""


def rows_of(cursor: Cursor) -> Iterator[dict[str, Any]]:
    """The rows as dicts: a row of SQLite looks for each column's name among all of them."""
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def columns(connection: Connection, table: str) -> list[str]:
    """The names of a table's columns, in order."""
    described = connection.execute(f"SELECT * FROM {table} LIMIT 0").description  # noqa: S608 - our names
    return [column[0] for column in described]


def among(column: str, keys: Sequence[int | str]) -> Iterator[tuple[str, dict[str, int | str]]]:
    """Conditions that a column has one of these values, 500 of them at a time, each with its parameters.

    A server's answer is in memory whole: 100,000 rows of runs are 200 MB.
    """
    for start in range(0, len(keys), _AT_ONCE):
        some = {f"key{number}": key for number, key in enumerate(keys[start : start + _AT_ONCE])}
        yield f"WHERE {column} IN (:{', :'.join(some)})", some
