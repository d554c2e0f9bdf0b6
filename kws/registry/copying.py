"""Copies a whole registry into another, file or server, and proves that both hold the same.

A copy is one transaction, and is verified: both sides are read back, each from one snapshot, and compared by one
SHA-256 a table over all rows. Integer keys differ between registries, so rows are identified by their run's id and
ordered by their natural keys. Every value is hashed with its type, a number to its last bit.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kws.errors import RegistryError
from kws.registry.location import Location
from kws.registry.opening import open_database
from kws.registry.protocols import Connection, columns
from kws.registry.schema import OF_DATA
from kws.registry.table_rows import (
    LARGE,
    SMALL,
    Rows,
    columns_of,
    in_parts,
    large_rows,
    put,
    read_rows,
    rows_among,
    rows_by,
)
from kws.registry.transfer import copy_runs

_SOURCES = "SELECT sha256 FROM sources ORDER BY sha256"
_REPLACEABLE = "SELECT id FROM trainings JOIN checkpoints ON run_key = key WHERE url IS NOT NULL"
Track = Callable[[Iterable[str], int, str], Iterable[str]]  # (items, how many, what is being done) -> items
_NATURAL = ("epoch", "session", "tag", "data_fingerprint", "split", "fingerprint", "split_fingerprint", "tested_at")


@dataclass(frozen=True, kw_only=True)
class Digest:
    """A registry's contents: number of rows and SHA-256 in hexadecimal, by table."""

    rows: dict[str, int]
    tables: dict[str, str]

    @property
    def whole(self) -> str:
        """The SHA-256 of all tables together."""
        return hashlib.sha256("".join(f"{name} {self.tables[name]}\n" for name in self.tables).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The ids that a copy copied or already found, and the contents of both sides after it."""

    copied: list[str]
    known: list[str]
    source: Digest
    target: Digest

    @property
    def differing(self) -> list[str]:
        """The tables whose rows differ between the two sides."""
        return [table for table, digest in self.source.tables.items() if digest != self.target.tables[table]]


def _untracked(items: Iterable[str], _: int, __: str) -> Iterable[str]:
    return items


def copy_registry(source: Location, target: Location, *, track: Track = _untracked) -> Copy:
    """Copy every run and data set of one registry into another that is new or has no other runs.

    Raises RegistryError if the target has other runs, or if either cannot be read or written.
    """
    with closing(open_database(source, create=False)) as of, of.reading() as there:
        copied, known = copy_all(there, target, source=source, track=track)
        apart = _replaceable(there)
        with closing(open_database(target, create=False)) as to, to.reading() as here:
            return Copy(
                copied=copied,
                known=known,
                source=digest(there, apart=apart, track=track, what="reading the one"),
                target=digest(here, apart=apart, track=track, what="reading the other"),
            )


def copy_all(
    there: Connection, target: Location, *, source: Location, track: Track = _untracked, files: bool = True
) -> tuple[list[str], list[str]]:
    """Copy everything in one registry into another; returns the run ids copied and those already there.

    Without `files`, weights and checkpoints that are in files stay there.
    """
    ids = [row["id"] for row in there.execute("SELECT id FROM trainings ORDER BY key")]
    with closing(open_database(target, create=True)) as to, to.writing() as here:
        others = {row["id"] for row in here.execute("SELECT id FROM trainings")} - set(ids)
        if others:
            raise RegistryError(
                f"{target} has {len(others)} run{'' if len(others) == 1 else 's'} that {source} has not, such as "
                f"{min(others)}; copy into a new registry, or add runs to that one by `kws runs import`"
            )
        names = columns_of(here)
        for table, key in OF_DATA.items():
            for row in there.execute("SELECT fingerprint FROM data ORDER BY fingerprint").fetchall():
                put(here, table, read_rows(there, table, names[table], key, row["fingerprint"]))
        for row in there.execute(_SOURCES).fetchall():
            put(here, "sources", read_rows(there, "sources", names["sources"], "sha256", row["sha256"]))
        for some in in_parts(row["run_id"] for row in there.execute("SELECT DISTINCT run_id FROM tests").fetchall()):
            put(here, "tests", rows_among(there, "tests", names["tests"], "run_id", some))  # also of purged runs
        return copy_runs(there, here, track(ids, len(ids), "copying"), source=source, files=files)


def _replaceable(connection: Connection) -> set[str]:
    """The runs whose checkpoints are in files: each is gone as soon as there is a newer one."""
    if "url" not in columns(connection, "checkpoints"):
        return set()
    return {row["id"] for row in connection.execute(_REPLACEABLE)}


def digest(
    connection: Connection, *, apart: Collection[str] = (), track: Track = _untracked, what: str = "reading"
) -> Digest:
    """The contents of a registry in the connection's snapshot; weights are in memory one run at a time.

    The checkpoints of runs that are `apart` are left out.
    """
    names = columns_of(connection)
    hashes = {table: hashlib.sha256() for table in names}
    counts = dict.fromkeys(names, 0)

    def take(table: str, rows: Rows, run_id: str = "") -> None:
        kept = sorted(set(names[table]) - {"key", "run_key", "url"})  # what is in a file is read from there
        order = [name for name in _NATURAL if name in kept]
        for row in sorted(rows, key=lambda row: [row[name] for name in order]):
            hashes[table].update(_plain(run_id) + b"".join(_plain(name) + _plain(row[name]) for name in kept))
            counts[table] += 1

    for row in connection.execute("SELECT fingerprint FROM data ORDER BY fingerprint").fetchall():
        for table, key in OF_DATA.items():
            take(table, read_rows(connection, table, names[table], key, row["fingerprint"]))
    for row in connection.execute(_SOURCES).fetchall():
        take("sources", read_rows(connection, "sources", names["sources"], "sha256", row["sha256"]))
    for some in in_parts(sorted(row["run_id"] for row in connection.execute("SELECT DISTINCT run_id FROM tests"))):
        tests = rows_by(connection, "tests", names["tests"], "run_id", some)
        for run_id in some:
            take("tests", tests[run_id])
    keys = {row["id"]: row["key"] for row in connection.execute("SELECT id, key FROM trainings")}
    for some in in_parts(track(sorted(keys), len(keys), what)):
        runs = rows_by(connection, "trainings", names["trainings"], "id", some)
        of_some = [keys[run_id] for run_id in some]
        of_keys = {table: rows_by(connection, table, names[table], "run_key", of_some) for table in SMALL}
        for run_id in some:
            take("trainings", runs[run_id], run_id)
            for table in SMALL:
                take(table, of_keys[table][keys[run_id]], run_id)
            for table in LARGE:
                if table != "checkpoints" or run_id not in apart:
                    take(table, large_rows(connection, table, names[table], runs[run_id][0]), run_id)
    return Digest(rows=counts, tables={table: found.hexdigest() for table, found in hashes.items()})


def _plain(value: Any) -> bytes:
    """A value as bytes that are unique to it."""
    if value is None:
        kind, data = b"n", b""
    elif isinstance(value, bool | int):
        kind, data = b"i", str(int(value)).encode()
    elif isinstance(value, float):
        kind, data = b"f", struct.pack("<d", value)
    elif isinstance(value, str):
        kind, data = b"s", value.encode("utf-8", "surrogatepass")
    else:
        kind, data = b"b", bytes(value)
    return kind + struct.pack("<Q", len(data)) + data
