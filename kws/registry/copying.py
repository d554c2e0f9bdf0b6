"""A whole registry into another, from file to server or back, and the proof that both hold the same.

The copy is one transaction: it is there whole or not at all. The proof reads both sides anew, each in one state, and
compares a SHA-256 a table over all its rows. Keys are each registry's own, so a row goes by its run's id instead, and
rows by their natural keys; every value counts with its type, a number to its last bit.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kws.errors import RegistryError
from kws.registry.location import Location
from kws.registry.opening import open_database
from kws.registry.protocols import Connection
from kws.registry.schema import BELONGINGS, OF_DATA
from kws.registry.transfer import columns_of, copy_runs, put, read_rows

Track = Callable[[Iterable[str], int, str], Iterable[str]]  # what to go through, how many they are, what is done
_NATURAL = ("epoch", "session", "tag", "data_fingerprint", "split", "fingerprint", "split_fingerprint", "tested_at")


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What a registry holds: rows and a SHA-256 in hexadecimal, by table."""

    rows: dict[str, int]
    tables: dict[str, str]

    @property
    def whole(self) -> str:
        """That of all tables together."""
        return hashlib.sha256("".join(f"{name} {self.tables[name]}\n" for name in self.tables).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What a copy did, and what both sides hold after it."""

    copied: list[str]
    known: list[str]
    source: Digest
    target: Digest

    @property
    def differing(self) -> list[str]:
        """The tables whose rows are not the same on both sides."""
        return [table for table, digest in self.source.tables.items() if digest != self.target.tables[table]]


def _untracked(items: Iterable[str], _: int, __: str) -> Iterable[str]:
    return items


def copy_registry(source: Location, target: Location, *, track: Track = _untracked) -> Copy:
    """Copy every run and data set of one registry into another that is new, or holds no other runs.

    Raises RegistryError where that has other runs, or one of both cannot be read or written.
    """
    with closing(open_database(source, create=False)) as of, of.reading() as there:
        copied, known = copy_all(there, target, source=source, track=track)
        with closing(open_database(target, create=False)) as to, to.reading() as here:
            return Copy(
                copied=copied,
                known=known,
                source=digest(there, track=track, what="reading the one"),
                target=digest(here, track=track, what="reading the other"),
            )


def copy_all(
    there: Connection, target: Location, *, source: Location, track: Track = _untracked
) -> tuple[list[str], list[str]]:
    """Copy what one registry holds into another; returns the ids of the runs copied and of those already there."""
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
        for row in there.execute("SELECT DISTINCT run_id FROM tests ORDER BY run_id").fetchall():  # of purged runs, too
            put(here, "tests", read_rows(there, "tests", names["tests"], "run_id", row["run_id"]))
        return copy_runs(there, here, track(ids, len(ids), "copying"), source=source)


def digest(connection: Connection, *, track: Track = _untracked, what: str = "reading") -> Digest:
    """What a registry holds, in the state that the connection sees; a run's rows at a time are in memory."""
    names = columns_of(connection)
    hashes = {table: hashlib.sha256() for table in names}
    counts = dict.fromkeys(names, 0)

    def take(table: str, where: str, value: Any, run_id: str) -> None:
        kept = sorted(set(names[table]) - {"key", "run_key"})
        order = [name for name in _NATURAL if name in kept]
        rows = read_rows(connection, table, names[table], where, value)
        for row in sorted(rows, key=lambda row: [row[name] for name in order]):
            hashes[table].update(_plain(run_id) + b"".join(_plain(name) + _plain(row[name]) for name in kept))
            counts[table] += 1

    for row in connection.execute("SELECT fingerprint FROM data ORDER BY fingerprint").fetchall():
        for table, key in OF_DATA.items():
            take(table, key, row["fingerprint"], "")
    for row in connection.execute("SELECT DISTINCT run_id FROM tests ORDER BY run_id").fetchall():
        take("tests", "run_id", row["run_id"], "")
    keys = {row["id"]: row["key"] for row in connection.execute("SELECT id, key FROM trainings")}
    for run_id in track(sorted(keys), len(keys), what):
        take("trainings", "key", keys[run_id], run_id)
        for table in BELONGINGS:
            take(table, "run_key", keys[run_id], run_id)
    return Digest(rows=counts, tables={table: found.hexdigest() for table, found in hashes.items()})


def _plain(value: Any) -> bytes:
    """A value as bytes that no other value has."""
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
