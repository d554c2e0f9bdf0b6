"""AllRuns: the runs of a registry that is read again and again, of which only what has changed is read.

Decisions:
- Up to MANY runs are read whole each time. That takes a few milliseconds, and misses nothing.
- Of more, new runs and those that are training, or were, are read each time. Nothing in a registry tells that an older
  run has changed, by a tag, say, or by a test. So their rows are compared with what they were, without their recipes;
  that is done as often as it takes a twentieth of the time at most, and takes the database under half a second for
  100,000 runs.
- Runs that have not changed stay the same objects.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from kws.registry.protocols import Connection, among
from kws.registry.reader import ALL_ROWS, RegistryReader
from kws.registry.runs import LOST, RUNNING, Run

MANY = 2_000
_SHARE = 20  # of the time between two comparisons, one part is for comparing
_KEYS = "SELECT key FROM trainings WHERE deleted_at IS NULL"
_COUNT = "SELECT count(*) FROM trainings WHERE deleted_at IS NULL"
_NEWEST = "SELECT key FROM trainings WHERE deleted_at IS NULL ORDER BY key DESC LIMIT :most"
_NEW = "SELECT key FROM trainings WHERE key > :last OR status = 'running'"
_MARKS = """
SELECT key, id, status, error, name, note, started_at, ended_at, data_fingerprint, epochs_done, milliseconds,
       validation_accuracy, test_accuracy FROM trainings WHERE deleted_at IS NULL
"""
_TAGS = "SELECT run_key, tag FROM tags"


class AllRuns:
    """The runs of a registry that are not deleted, the oldest first, as they were when they were last read."""

    def __init__(self) -> None:
        self.runs: tuple[Run, ...] = ()
        self.is_behind = False  # whether older runs may have changed since they were last compared
        self._by_key: dict[int, Run] = {}
        self._marks: dict[int, int] = {}
        self._identity: object = None
        self._compared = self._took = 0.0

    def read(self, registry: RegistryReader) -> None:
        """Read what may have changed. Raises RegistryError if the registry cannot be read."""
        with registry.reading() as connection:
            if len(self._by_key) <= MANY or registry.database.identity != self._identity:
                self._read_all(registry, connection)
            else:
                self._read_changed(registry, connection)
            self._identity = registry.database.identity

    def _read_all(self, registry: RegistryReader, connection: Connection) -> None:
        keys = [row["key"] for row in connection.execute(_KEYS)]
        found, known = some(registry, connection, keys), self._by_key
        self._by_key = {key: run if known.get(key) != run else known[key] for key, run in found.items()}
        self.runs, self.is_behind = tuple(self._by_key.values()), False
        if len(found) > MANY:
            self._compare(connection)

    def _read_changed(self, registry: RegistryReader, connection: Connection) -> None:
        last = next(reversed(self._by_key))
        wanted = {row["key"] for row in connection.execute(_NEW, {"last": last})}
        wanted |= {key for key, run in self._by_key.items() if run.status in (RUNNING, LOST)}
        self.is_behind = time.monotonic() - self._compared < _SHARE * self._took
        if not self.is_behind:
            wanted |= self._compare(connection)
        found = some(registry, connection, wanted)
        gone = wanted - found.keys()
        changed = {key: run for key, run in found.items() if self._by_key.get(key) != run}
        if changed or gone & self._by_key.keys():
            merged = {key: run for key, run in self._by_key.items() if key not in gone} | changed
            self._by_key = dict(sorted(merged.items()))
            self.runs = tuple(self._by_key.values())

    def _compare(self, connection: Connection) -> set[int]:
        """The keys of the runs whose rows or tags are not what they were at the last comparison."""
        start = time.monotonic()
        marks = {row[0]: hash(tuple(row)) for row in connection.execute(_MARKS)}
        for key, tag in connection.execute(_TAGS):
            if key in marks:
                marks[key] += hash(tag)
        known, self._marks = self._marks, marks
        self._compared = time.monotonic()
        self._took = self._compared - start
        return {key for key in known.keys() | marks.keys() if known.get(key) != marks.get(key)}


def count(registry: RegistryReader) -> int:
    """How many runs there are that are not deleted; none is read."""
    with registry.reading() as connection:
        return int(connection.execute(_COUNT).fetchone()[0])


def newest(registry: RegistryReader, most: int) -> tuple[Run, ...]:
    """The newest runs that are not deleted, the oldest of them first; no other is read."""
    with registry.reading() as connection:
        keys = [row["key"] for row in connection.execute(_NEWEST, {"most": most})]
        return tuple(some(registry, connection, keys).values())


def some(registry: RegistryReader, connection: Connection, keys: Iterable[int]) -> dict[int, Run]:
    """Those of the runs with these keys that are there and not deleted, by key; the oldest first."""
    found: dict[int, Run] = {}
    for where, about in among("key", sorted(keys)):
        rows = connection.execute(f"{ALL_ROWS} {where} AND deleted_at IS NULL ORDER BY key", about)
        found |= registry.runs_of(connection, rows, tags_of=[*about.values()])
    return found
