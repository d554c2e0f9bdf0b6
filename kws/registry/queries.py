"""Somebody else's SQL: the database itself is told to let it read and nothing more, for so long and no longer."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from kws.errors import RegistryError
from kws.location import Location, ServerUrl
from kws.registry.backend import Connection, Cursor, open_database
from kws.registry.connection import Database

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_LARGEST_VALUE = 100_000_000  # bytes
_LARGEST_ANSWER = 200_000_000  # bytes, of all its texts and blobs
_GRACE_SECONDS = 0.5
_INSTRUCTIONS = 10_000  # of SQLite's virtual machine between two looks at the clock


@dataclass(frozen=True)
class Answer:
    """A query's columns and rows; `cut` where there were more rows than were wanted."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    cut: bool


@contextmanager
def only_reading(connection: Connection, *, seconds: float) -> Iterator[None]:
    """Let the connection read and nothing else, and stop a statement after so many seconds."""
    if not isinstance(connection, sqlite3.Connection):
        with connection.only_reading(seconds):  # type: ignore[attr-defined]
            yield
        return
    until = time.monotonic() + seconds
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
    connection.set_progress_handler(lambda: time.monotonic() > until, _INSTRUCTIONS)
    largest = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, largest)
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)


def refusals(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What a database raises for a statement that it does not understand or that may not be; and these."""
    server = sys.modules.get("psycopg")
    own: tuple[type[Exception], ...] = (sqlite3.Error, sqlite3.Warning, UnicodeError, MemoryError)
    return (*own, server.Error, *more) if server else (*own, *more)


def reason(error: Exception) -> str:
    """Why, without the statement that a server repeats."""
    return getattr(getattr(error, "diag", None), "message_primary", None) or str(error)


def query(path: Location, sql: str, *, seconds: float, limit: int) -> Answer:
    """What a registry answers to a SELECT.

    Raises RegistryError for anything else, and where it takes too long, or its answer too much memory.
    """
    if isinstance(path, ServerUrl):
        return _ask_server(path, sql, seconds, limit)
    database = Database(path, create=False)
    ended: list[Answer | BaseException] = []

    def work() -> None:
        try:
            with database.untransacted() as connection, only_reading(connection, seconds=seconds):
                ended.append(_answer(connection, sql, limit))
        except BaseException as error:
            ended.append(error)

    # SQLite looks at the clock between two instructions, and one function may take for ever: so it has its own thread.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds + _GRACE_SECONDS)
    if not ended or "interrupted" in str(ended[0]):
        raise _too_long(seconds)
    database.close()
    (result,) = ended
    if isinstance(result, BaseException):
        raise result
    return result


def _too_long(seconds: float) -> RegistryError:
    return RegistryError(f"the query took more than {seconds:g} s and was stopped")


def _ask_server(url: ServerUrl, sql: str, seconds: float, limit: int) -> Answer:
    with closing(open_database(url, create=False)) as database:
        try:
            with database.reading() as connection, only_reading(connection, seconds=seconds):
                return _answer(connection, sql, limit)
        except RegistryError as error:
            raise _too_long(seconds) if "statement timeout" in str(error) else error from None


def _answer(connection: Connection, sql: str, limit: int) -> Answer:
    rows: list[tuple[Any, ...]] = []
    size = 0
    try:
        cursor = connection.execute(sql)
        for row in cursor:
            if len(rows) == limit:
                return Answer(_columns(cursor), rows, cut=True)
            rows.append(tuple(row))
            sizes = [len(value) for value in rows[-1] if isinstance(value, str | bytes)]
            if sizes and max(sizes) > _LARGEST_VALUE:
                raise RegistryError("the query cannot be run (string or blob too big)")
            size += sum(sizes)
            if size > _LARGEST_ANSWER:
                raise RegistryError(f"the query's answer is larger than {_LARGEST_ANSWER // 10**6} MB; ask for less")
    except refusals() as error:
        why = "only reading is allowed" if "not authorized" in str(error) else reason(error)
        raise RegistryError(f"the query cannot be run ({why})") from None
    if cursor.description is None:
        raise RegistryError("the query is empty; give a SELECT")
    return Answer(_columns(cursor), rows, cut=False)


def _columns(cursor: Cursor) -> tuple[str, ...]:
    return tuple(column[0] for column in cursor.description)
