"""Runs SQL from users: the database itself restricts it to reading, within a time limit."""

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
from kws.registry import view
from kws.registry.location import Location, ServerUrl
from kws.registry.opening import open_database
from kws.registry.protocols import Connection, Cursor
from kws.registry.sqlite import Database

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_LARGEST_VALUE = 100_000_000  # bytes
_LARGEST_ANSWER = 200_000_000  # bytes, over all texts and blobs
_GRACE_SECONDS = 0.5
_INSTRUCTIONS = 10_000  # of SQLite's virtual machine between two checks of the clock
_CANCELED = "57014"  # the SQLSTATE of a statement that was ended by its timeout or by another user
_TIMER_SECONDS = 0.01  # tolerance between the server's timer and our clock
# SQLite result codes caused by the file or the disk, not by the statement or the stored data.
_OF_THE_PLACE = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL),
}
_LIMIT_EXCEEDED = "54"  # the class of SQLSTATEs for statements that are too complex


@dataclass(frozen=True)
class Answer:
    """A query's columns and rows; `cut` if there were more rows than the limit."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    cut: bool


@contextmanager
def only_reading(connection: Connection, *, seconds: float) -> Iterator[None]:
    """Restrict the connection to reading, and stop a statement after `seconds`."""
    if not isinstance(connection, sqlite3.Connection):
        with connection.only_reading(seconds):  # type: ignore[attr-defined]
            yield
        return
    until = time.monotonic() + seconds
    connection.set_authorizer(_authorize)
    connection.set_progress_handler(lambda: time.monotonic() > until, _INSTRUCTIONS)
    largest = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_VALUE)
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, largest)
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)


def _authorize(action: int, _: str | None, name: str | None, *__: str | None) -> int:
    """Whether SQLite may do this; functions are checked by name, because load_extension loads code."""
    loads = action == sqlite3.SQLITE_FUNCTION and name == "load_extension"
    return sqlite3.SQLITE_OK if action in _ALLOWED and not loads else sqlite3.SQLITE_DENY


def refusals(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """The exceptions that a database raises for a statement that is invalid or not allowed, plus `more`."""
    server = sys.modules.get("psycopg")
    own: tuple[type[Exception], ...] = (sqlite3.Error, sqlite3.Warning, UnicodeError, MemoryError)
    return (*own, server.Error, *more) if server else (*own, *more)


def reason(error: Exception) -> str:
    """The error's message, without the statement that a server repeats in it."""
    if isinstance(error, MemoryError):
        return "it takes more memory than there is"
    return getattr(getattr(error, "diag", None), "message_primary", None) or str(error) or type(error).__name__


def was_stopped(error: Exception, until: float) -> bool:
    """Whether a statement was stopped because it ran past `until` (by time.monotonic()).

    This is decided by the database's error code, never by its message, which may contain the user's own words.
    """
    if isinstance(error, sqlite3.Error):
        return _code(error) == sqlite3.SQLITE_INTERRUPT
    return getattr(error, "sqlstate", None) == _CANCELED and time.monotonic() > until - _TIMER_SECONDS


def is_of_the_place(error: Exception) -> bool:
    """Whether the file, the disk or the server failed, and not the statement or the stored data."""
    if isinstance(error, sqlite3.Error):
        return _code(error) in _OF_THE_PLACE
    server = sys.modules.get("psycopg")
    if server is None or not isinstance(error, server.OperationalError):
        return False
    return not str(getattr(error, "sqlstate", None) or "").startswith(_LIMIT_EXCEEDED)


def _code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None if Python itself raised the error."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def query(path: Location, sql: str, *, seconds: float, limit: int) -> Answer:
    """The result of a SELECT on a registry, at most `limit` rows.

    Raises RegistryError for any other statement, or if the query takes more than `seconds` or its result too much
    memory.
    """
    if isinstance(path, ServerUrl):
        return _ask_server(path, sql, seconds, limit)
    database = Database(path, create=False)
    ended: list[Answer | BaseException] = []

    def work() -> None:
        try:
            with database.untransacted() as connection:
                view.for_queries(connection)
                with only_reading(connection, seconds=seconds):
                    ended.append(_answer(connection, sql, seconds, limit))
        except BaseException as error:
            ended.append(error)

    # SQLite checks the clock only between instructions, and one function may run forever: hence the separate thread.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds + _GRACE_SECONDS)
    if not ended:
        raise _too_long(seconds)
    database.close()
    (result,) = ended
    if isinstance(result, BaseException):
        raise result
    return result


def _too_long(seconds: float) -> RegistryError:
    return RegistryError(f"the query took more than {seconds:g} s and was stopped")


def _ask_server(url: ServerUrl, sql: str, seconds: float, limit: int) -> Answer:
    with (
        closing(open_database(url, create=False)) as database,
        database.reading() as connection,
        only_reading(connection, seconds=seconds),
    ):
        return _answer(connection, sql, seconds, limit)


def _answer(connection: Connection, sql: str, seconds: float, limit: int) -> Answer:
    until = time.monotonic() + seconds
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
        if was_stopped(error, until):
            raise _too_long(seconds) from None
        denied = isinstance(error, sqlite3.Error) and _code(error) == sqlite3.SQLITE_AUTH
        why = "only reading is allowed" if denied else reason(error)
        raise RegistryError(f"the query cannot be run ({why})") from None
    if cursor.description is None:
        raise RegistryError("the query is empty; give a SELECT")
    return Answer(_columns(cursor), rows, cut=False)


def _columns(cursor: Cursor) -> tuple[str, ...]:
    return tuple(column[0] for column in cursor.description)
