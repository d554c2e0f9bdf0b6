"""Follower: a reader that polls runs while other processes train them.

A poll is one short transaction. If no other process has changed the registry since the last poll, nothing is read
again. Only the processes of running runs are checked each time, because a killed process writes nothing. A process that
cannot be observed from here counts as dead when polls have seen no new heartbeat for SILENT_SECONDS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kws.registry import decoding
from kws.registry.decoding import RUN_COLUMNS
from kws.registry.location import Location
from kws.registry.process import SILENT_SECONDS, Watch
from kws.registry.protocols import Connection, Row
from kws.registry.reader import RegistryReader
from kws.registry.runs import LOST, RUNNING, Epoch, Run, Sighting

_RUN = f"SELECT {RUN_COLUMNS} FROM trainings JOIN data ON data.fingerprint = data_fingerprint WHERE key = :key"  # noqa: S608
_SESSION = "SELECT * FROM sessions WHERE run_key = :key ORDER BY session DESC LIMIT 1"
_EPOCHS = """
SELECT epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, milliseconds, processor_seconds
FROM epochs WHERE run_key = :key AND epoch >= :first ORDER BY epoch
"""
_NEW = "SELECT key FROM trainings WHERE key > :last AND started_at >= :since AND deleted_at IS NULL"
_YOUNG = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Session:
    """The last process that worked on a run: its first epoch, and its start and last heartbeat by its own clock."""

    number: int
    first_epoch: int
    started: datetime
    heartbeat: datetime


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A run as polled, its epochs in order (without their iterations), and its last session.

    `arrived` is when a poll first found the last epoch; None if it was already there when the run, or this session of
    it, was first polled. `session` is None for a run imported from elsewhere.
    """

    run: Run
    epochs: tuple[Epoch, ...]
    session: Session | None
    arrived: datetime | None


class Follower(RegistryReader):
    """A registry opened to follow runs: all that are running at a poll or have run since the previous poll.

    After follow(), only the runs that it names. If another file replaces the registry, following starts over with it.
    """

    def __init__(self, path: Location) -> None:
        super().__init__(path)
        self._ids: tuple[str, ...] | None = None
        self._version: object = None
        self._followed: dict[int, Followed] = {}  # by key
        self._watch = Watch()
        self._identity = self.database.identity
        self._last_key: int | None = None  # the highest key at the last poll

    def follow(self, ids: Iterable[str]) -> None:
        """Follow only the runs with these ids."""
        self._ids, self._version, self._followed = tuple(ids), None, {}

    def look(self, now: datetime) -> list[Followed]:
        """The followed runs as they are now, oldest first; ended runs stay, purged ones are dropped."""
        with self.reading() as connection:
            sightings = self._sightings(connection)
            version = self.database.version(connection)
            if self._identity != self.database.identity:
                self._followed, self._last_key, self._identity = {}, None, self.database.identity
            if version != self._version:
                wanted = self._wanted(connection, sightings, now)
                read = {key: self._read(connection, key, sightings, now) for key in wanted}
                self._followed = {key: found for key, found in sorted(read.items()) if found}
                self._version = version
        for key, known in self._followed.items():
            status = self._status(key, known.run.status, sightings)
            if status != known.run.status:  # its process has died
                self._followed[key] = replace(known, run=replace(known.run, status=status))
        return list(self._followed.values())

    def _status(self, key: int, recorded: str, sightings: dict[int, Sighting]) -> str:
        """A run's actual status; a run whose process cannot be observed is lost after SILENT_SECONDS of silence."""
        seen = sightings.get(key)
        if seen is None:
            return recorded
        silent = self._watch.seconds(key, seen.sign) if seen.unseen else 0.0
        return LOST if silent > SILENT_SECONDS else seen.status

    def _wanted(self, connection: Connection, sightings: dict[int, Sighting], now: datetime) -> set[int]:
        """The keys of the runs to follow."""
        if self._ids is None:
            since = (now - _YOUNG).isoformat(timespec="milliseconds")  # older ones have just been imported
            new = connection.execute(_NEW, {"last": self._last_key, "since": since}).fetchall()
            (self._last_key,) = connection.execute("SELECT coalesce(max(key), 0) FROM trainings").fetchone()
            running = (key for key, seen in sightings.items() if seen.status == RUNNING)
            return {*self._followed, *running, *(row["key"] for row in new)}
        asked = {f"id{number}": run_id for number, run_id in enumerate(self._ids)}
        places = ", ".join(f":{name}" for name in asked)
        return {row["key"] for row in connection.execute(f"SELECT key FROM trainings WHERE id IN ({places})", asked)}  # noqa: S608

    def _read(self, connection: Connection, key: int, sightings: dict[int, Sighting], now: datetime) -> Followed | None:
        row = connection.execute(_RUN, {"key": key}).fetchone()
        known = self._followed.get(key)
        if row is None:
            return None
        if known and row["id"] != known.run.id:  # that run was purged, and another run has its key now
            known = None
        with self.naming(row["id"]):
            session = _session(connection.execute(_SESSION, {"key": key}).fetchone())
            seen = sightings.get(key, Sighting(status=row["status"]))
            run = replace(decoding.run(row, status=seen.status), last_seen=seen.last_seen)
            epochs = self._epochs_of(connection, key, known.epochs if known else ())
        arrived = known.arrived if known and _number(known.session) == _number(session) else None
        if known and epochs and epochs != known.epochs:
            arrived = now
        return Followed(run=run, epochs=epochs, session=session, arrived=arrived)

    def _epochs_of(self, connection: Connection, key: int, known: tuple[Epoch, ...]) -> tuple[Epoch, ...]:
        """A run's epochs: the known ones plus new ones; all are read again if the last known one has changed."""
        last = known[-1] if known else None
        read = connection.execute(_EPOCHS, {"key": key, "first": last.epoch if last else 0})
        found = tuple(decoding.epoch(dict(row) | decoding.NO_ITERATIONS) for row in read)
        if last and found[:1] != (last,):  # a run resumed elsewhere may replace epochs
            return self._epochs_of(connection, key, ())
        return known + found[1:] if last else found


def _session(row: Row | None) -> Session | None:
    if row is None:
        return None
    return Session(
        number=row["session"],
        first_epoch=row["first_epoch"],
        started=datetime.fromisoformat(row["started_at"]),
        heartbeat=datetime.fromisoformat(row["heartbeat_at"]),
    )


def _number(session: Session | None) -> int:
    return session.number if session else 0
