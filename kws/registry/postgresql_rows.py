"""Adapts psycopg to the registry's SQL: parameters as :name, and rows indexed by number or by name.

Values have the types that SQLite returns: numbers as int and float, blobs as bytes. Types that SQLite does not have
come as PostgreSQL's own text for them.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.string import TextLoader

_BATCH = 100  # rows
_PLACE = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
_KEPT = {
    "bool",
    "bytea",
    "int2",
    "int4",
    "int8",
    "oid",
    "float4",
    "float8",
    "text",
    "varchar",
    "bpchar",
    "name",
    "char",
}


class Row(tuple[Any, ...]):
    """A row whose values are indexed by number or by column name. Raises IndexError for an unknown name."""

    _numbers: Mapping[str, int] = {}

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            try:
                key = self._numbers[key]
            except KeyError:
                raise IndexError(f"no column {key!r}") from None
        return super().__getitem__(key)

    def keys(self) -> list[str]:
        """The columns' names."""
        return list(self._numbers)


class ServerConnection:
    """A psycopg connection as kws.registry.protocols.Connection."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self._until: float | None = None

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> Any:
        """Run one statement; without parameters it is sent unchanged."""
        if self._until is not None:
            return _Answer(self.raw, sql, self._until)
        if parameters is None:
            return self.raw.execute(sql)
        return self.raw.execute(_translated(sql), _values(parameters))

    def stream(self, sql: str, parameters: Mapping[str, Any] | None = None, /) -> Iterator[Any]:
        """The rows of a query as they come; see kws.registry.protocols.Reading."""
        size = _BATCH if psycopg.capabilities.has_stream_chunked() else 1
        return self.raw.cursor(binary=True).stream(_translated(sql), _values(parameters or {}), size=size)

    def counts(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> list[int]:
        """Run one statement for each set of parameters; returns how many rows each changed."""
        return [cursor.rowcount for cursor in self._each(sql, parameters)]

    def returned(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> list[Any]:
        """Run one statement for each set of parameters; returns the row that each returns."""
        return [cursor.fetchone() for cursor in self._each(sql, parameters)]

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> Any:
        """Run one statement for each set of parameters."""
        for _ in self._each(sql, parameters):
            pass

    def _each(self, sql: str, parameters: Iterable[Mapping[str, Any]]) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor at the result of each; of many, which are sent together, and of one, which needs no pipeline."""
        values = [_values(each) for each in parameters]
        if not values:
            return
        with self.raw.cursor() as cursor:
            if len(values) == 1:
                yield cursor.execute(_translated(sql), values[0])
                return
            cursor.executemany(_translated(sql), values, returning=True)
            yield cursor
            while cursor.nextset():
                yield cursor

    def fill(self, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
        """Insert many new rows, given the values of these columns."""
        with self.raw.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([_value(each) for each in row])

    @contextmanager
    def only_reading(self, seconds: float) -> Iterator[None]:
        """Allow only a SELECT, and stop it after `seconds`; for use within a read-only transaction."""
        self._until = time.monotonic() + seconds
        self.raw.execute(f"SET LOCAL statement_timeout = {max(1, round(1000 * seconds))}")
        try:
            yield
        finally:
            self._until = None
            if self.raw.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                self.raw.execute("SET LOCAL statement_timeout = 0")


class _Answer:
    """The rows of a query, streamed from a server-side cursor, which allows one SELECT and nothing else.

    The server computes a whole FETCH before it sends the first row, so each one asks for few rows and gets only the
    time that is left.
    """

    def __init__(self, raw: psycopg.Connection[Any], sql: str, until: float) -> None:
        self._raw, self._until = raw, until
        declared = raw.cursor(name="kws_answer")
        declared.execute(sql)
        self.description = declared.description

    def __iter__(self) -> Iterator[Any]:
        full = True
        while full:
            left = max(1, round(1000 * (self._until - time.monotonic())))
            self._raw.execute(f"SET LOCAL statement_timeout = {left}")
            full = False
            for number, row in enumerate(self._raw.cursor().stream(f"FETCH FORWARD {_BATCH} FROM kws_answer"), 1):
                yield row
                full = number == _BATCH


@cache
def adapters() -> AdaptersMap:
    """The adapters with which a connection returns values of SQLite's types."""
    made = AdaptersMap(psycopg.adapters)
    for each in psycopg.adapters.types:
        for oid in (each.oid, each.array_oid):
            if oid and not (oid == each.oid and each.name in _KEPT):
                made.register_loader(oid, TextLoader)
    made.register_loader("numeric", _NumberLoader)
    made.register_loader(0, TextLoader)
    return made


class _NumberLoader(Loader):
    """Loads a numeric, such as a sum of integers, as SQLite would: int if it is whole and has 64 bits, else float."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        whole = int(text) if text.lstrip("-").isdigit() else None
        return whole if whole is not None and abs(whole) < 2**63 else float(text)


def row_factory(cursor: psycopg.Cursor[Any]) -> Any:
    """The function that turns a cursor's values into rows."""
    description = cursor.description
    return _kind(tuple(column.name for column in description)) if description else tuple


@lru_cache(maxsize=128)
def _kind(names: tuple[str, ...]) -> type[Row]:
    numbers = {name: number for number, name in reversed([*enumerate(names)])}
    return type("Row", (Row,), {"__slots__": (), "_numbers": {name: numbers[name] for name in names}})


@lru_cache(maxsize=512)
def _translated(sql: str) -> str:
    return _PLACE.sub(r"%(\1)s", sql.replace("%", "%%"))


def _values(parameters: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    assert isinstance(parameters, Mapping)
    return {name: _value(value) for name, value in parameters.items()}


def _value(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
