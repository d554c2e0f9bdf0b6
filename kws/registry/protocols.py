"""Backend: what the registry is read and written through, be it a file (SQLite) or a server (PostgreSQL).

Our SQL is what both understand, with parameters as :name. What they do differently is a method of the Backend: there is
no layer that translates one dialect into the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Row(Protocol):
    """A row: by number or by name, to be unpacked, or made a dict of."""

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
        """The columns, each a tuple whose first is its name; None where there are none."""

    def __iter__(self) -> Iterator[Any]: ...
    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""


class Connection(Protocol):
    """What runs SQL within a transaction."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> Any:
        """Run one statement for each of these."""


class Backend(Protocol):
    """An opened registry; for one thread at a time. Every method raises RegistryError where it cannot be used."""

    generation: int  # another one whenever it was opened anew, be it that another file is at its path

    @property
    def identity(self) -> object:
        """What tells the file at its path from others; the same while that is the same."""

    def reading(self) -> AbstractContextManager[Connection]:
        """One state of the registry for as long as this lasts; within another transaction, that one's."""

    def writing(self, run: str | None = None) -> AbstractContextManager[Connection]:
        """A transaction that has the write lock, or only that of this run; it is kept whole or not at all."""

    def is_writable(self) -> bool:
        """Whether the registry can be written."""

    def version(self, connection: Connection) -> object:
        """What is another value whenever somebody else has changed something since; within reading()."""

    def size(self, connection: Connection) -> tuple[int, int | None]:
        """Bytes on disk, and how many of them are free, None where that is not known; within reading()."""

    def check(self, connection: Connection) -> list[str]:
        """What is wrong with the database as such, a sentence each; within reading()."""

    def trim(self) -> None:
        """Give back the space of a checkpoint that was dropped, where that is quick."""

    def vacuum(self) -> None:
        """Give back all space that is free."""

    def hold(self, run: str, session: int) -> None:
        """From now on this process records a run, until release(): no other database may take this one's place."""

    def confirm(self, run: str, beat: str, *, thoroughly: bool = False) -> None:
        """Make sure that a commit is where others look for it: one that set this heartbeat of a run on hold.

        Raises kws.registry.binding.ReplacedError where it is not.
        """

    def release(self, run: str) -> None:
        """The run is no longer recorded."""

    def abandon(self) -> None:
        """Leave a database that is no longer the one at its place."""

    def close(self) -> None:
        """Close it."""


def columns(connection: Connection, table: str) -> list[str]:
    """The names of a table's columns, in their order."""
    described = connection.execute(f"SELECT * FROM {table} LIMIT 0").description  # noqa: S608 - our names
    return [column[0] for column in described]
