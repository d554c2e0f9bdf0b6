"""RegistryReader: every read query. Each method is one short transaction; no lock is held in between.

The queries are plain SQL, so that reading needs neither SQLModel nor its tables.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, Self

from kws.errors import RegistryError, UnknownRunError
from kws.recipe import Recipe
from kws.registry import decoding, state_files
from kws.registry.decoding import RUN_COLUMNS, UNREADABLE
from kws.registry.evaluations import EvaluationReader
from kws.registry.location import Location
from kws.registry.opening import open_database
from kws.registry.protocols import Backend, Connection, Reading, Row, among
from kws.registry.runs import FINISHED, LOST, RUNNING, Checkpoint, Epoch, Run, Sighting
from kws.registry.selection import ALL_RUNS, Selection
from kws.registry.times import TimeReader

ALL_ROWS = f"SELECT {RUN_COLUMNS} FROM trainings JOIN data ON data.fingerprint = data_fingerprint"  # noqa: S608 - our names
_RUNS = f"{ALL_ROWS} ORDER BY key"
_RUN = f"{ALL_ROWS} WHERE key = :key"
_A_RECIPE_OF_EACH = """
SELECT id, recipe_json FROM trainings WHERE key IN (SELECT min(key) FROM trainings GROUP BY cell_digest) ORDER BY key
"""
_TAGS = "SELECT tag FROM tags WHERE run_key = :key"
_KEY = "SELECT key FROM trainings WHERE id = :id"
_EPOCHS = "SELECT * FROM epochs WHERE run_key = :key ORDER BY epoch"
_EPOCHS_ALONE = """
SELECT epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, milliseconds, processor_seconds
FROM epochs WHERE run_key = :key ORDER BY epoch
"""
_ACCURACIES = "SELECT validation_accuracy FROM epochs WHERE run_key = :key ORDER BY epoch"
_WEIGHTS = "SELECT * FROM weights WHERE run_key = :key"
_DIGEST = "SELECT sha256 FROM weights WHERE run_key = :key"
_WITH_WEIGHTS = "SELECT id FROM trainings JOIN weights ON run_key = key WHERE deleted_at IS NULL ORDER BY key DESC"
_CHECKPOINT = "SELECT epoch, sha256, safetensors, url FROM checkpoints WHERE run_key = :key"
_SEEN = """
SELECT key, id, host, boot, pid, process_started, heartbeat_at, session FROM trainings
LEFT JOIN sessions ON run_key = key AND session = (SELECT max(session) FROM sessions WHERE run_key = key)
WHERE status = 'running'
"""
_RUNNING, _RUNNING_ONE = f"{_SEEN} ORDER BY key", f"{_SEEN} AND key = :key"


class RegistryReader(EvaluationReader, TimeReader):
    """A registry opened for reading. Raises RegistryError if it cannot be used; see kws.registry.protocols."""

    def __init__(self, path: Location, *, create: bool = False, database: Backend | None = None) -> None:
        self.path = path
        self.database = database or open_database(path, create=create)
        self._keys: dict[tuple[int, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def runs(self, selection: Selection = ALL_RUNS) -> list[Run]:
        """The runs of a selection, oldest first; deleted runs only if the selection asks for them."""
        with self.reading() as connection:
            sightings = self._sightings(connection)
            keys = selection.keys(connection, {key: seen.status for key, seen in sightings.items()})
            with closing(connection.stream(_RUNS)) as rows:
                found = self.runs_of(connection, rows, keys, sightings=sightings)
        return [run for run in found.values() if selection.takes(run)]

    def runs_of(
        self,
        connection: Connection,
        rows: Iterable[Any],
        keys: Container[int] | None = None,
        *,
        tags_of: Sequence[int | str] = (),
        sightings: Mapping[int, Sighting] | None = None,
    ) -> dict[int, Run]:
        """The runs of rows of RUN_COLUMNS with these keys, by key; tags are read of all runs, or of `tags_of`.

        `sightings` are those of the ones that are recorded as running, if they are known.
        """
        if sightings is None:
            sightings = self._sightings(connection)
        tags: dict[int, list[str]] = {}
        for where, about in among("run_key", tags_of) if tags_of else [("", {})]:
            for row in connection.execute(f"SELECT run_key, tag FROM tags {where} ORDER BY run_key, tag", about):  # noqa: S608
                tags.setdefault(row["run_key"], []).append(str(row["tag"]))
        sorted_tags = {key: tuple(sorted(each)) for key, each in tags.items()}
        found, recipe_of = {}, Recipe.texts_reader()
        with _without_collection():
            for row in rows:
                key = row[-1]
                if keys is None or key in keys:
                    try:
                        found[key] = _run(row, sightings.get(key), sorted_tags.get(key, ()), recipe_of)
                    except UNREADABLE as error:
                        raise self._unreadable(row["id"], error) from None
        return found

    def recipes(self) -> list[Recipe]:
        """A recipe of each cell that any run has, deleted ones among them, the oldest first; no run is read."""
        found = []
        with self.reading() as connection:
            for row in connection.execute(_A_RECIPE_OF_EACH):
                with self.naming(row["id"]):
                    found.append(Recipe.from_text(row["recipe_json"]))
        return found

    def ended(self, connection: Connection, keys: Sequence[int]) -> Iterator[Run]:
        """The runs with these keys, none of which must be recorded as running."""
        for where, about in among("key", keys):
            rows = connection.execute(f"{ALL_ROWS} {where}", about)
            yield from self.runs_of(connection, rows, tags_of=[*about.values()], sightings={}).values()

    def by_id(self, run_id: str) -> Run:
        """The run with exactly this id, deleted or not; no other is read. Raises UnknownRunError if there is none."""
        with self.reading() as connection:
            key = self.key(connection, run_id)
            row = connection.execute(_RUN, {"key": key}).fetchone()
            if row is None:
                raise UnknownRunError(f"there is no run {run_id!r} in {self.path}")
            tags = [str(tag["tag"]) for tag in connection.execute(_TAGS, {"key": key})]
            sightings = self._sightings(connection, key)
            with self.naming(run_id):
                return _run(row, sightings.get(key), tuple(sorted(tags)))

    def run(self, reference: str, *, deleted: bool = False) -> Run:
        """The run that a reference names: its id, an unambiguous prefix of it, or `last`.

        With `deleted`, only deleted runs are searched; otherwise only the others. Raises UnknownRunError if no run
        matches, or several do.
        """
        found = self.runs(Selection(deleted=deleted))
        if reference == "last" and found:
            return found[-1]
        matches = [run for run in found if run.id.startswith(reference)] if reference else []
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UnknownRunError(
                f"{reference!r} could be any of {', '.join(run.id for run in matches[:5])}"
                f"{' ...' if len(matches) > 5 else ''}; give more of the id"
            )
        kind, listing = ("deleted run", "kws runs list --deleted") if deleted else ("run", "kws runs list")
        raise UnknownRunError(
            f"there is no {kind} {reference!r} in {self.path}; `{listing}` shows the {len(found)} it has"
        )

    def source(self, run_id: str) -> str | None:
        """The source text of a run's network; None if the network is one of kws.

        Raises RegistryError if the text is missing or does not have the SHA-256 that the recipe names.
        """
        from kws.registry import sources

        with self.reading() as connection:
            row = connection.execute(_RUN, {"key": self.key(connection, run_id)}).fetchone()
            try:
                found = sources.rows_of(connection, row["recipe_json"])
            except RegistryError as error:
                raise RegistryError(f"run {run_id} of {self.path} cannot be trusted: {error}") from None
        return found[0]["source"] if found else None

    def sources_beginning(self, prefix: str) -> list[str]:
        """The digests of the sources that begin so."""
        with self.reading() as connection:
            found = [str(row["sha256"]) for row in connection.execute("SELECT sha256 FROM sources ORDER BY sha256")]
        return [digest for digest in found if digest.startswith(prefix)]

    def epochs(self, run_id: str, *, iterations: bool = True) -> list[Epoch]:
        """A run's epochs in order; without `iterations` those are not read, which is four times as fast."""
        with self.reading() as connection:
            about = {"key": self.key(connection, run_id)}
            if iterations:
                return [decoding.epoch(row) for row in connection.execute(_EPOCHS, about)]
            found = connection.execute(_EPOCHS_ALONE, about)
            return [decoding.epoch(dict(row) | decoding.NO_ITERATIONS) for row in found]

    def validation_accuracies(self, run_id: str) -> list[float]:
        """A run's validation accuracy after each epoch; ten times faster than epochs()."""
        with self.reading() as connection:
            found = connection.execute(_ACCURACIES, {"key": self.key(connection, run_id)})
            return [float(row["validation_accuracy"]) for row in found]

    def weights(self, run_id: str) -> bytes:
        """A run's weights as a safetensors file. Raises RegistryError if there are none, or they are damaged."""
        with self.reading() as connection:
            row = connection.execute(_WEIGHTS, {"key": self.key(connection, run_id)}).fetchone()
            if row is None:
                raise RegistryError(self._without_weights(connection, run_id))
        try:
            found = state_files.content(row, run_id)
        except RegistryError as error:
            raise RegistryError(f"the weights of run {run_id} in {self.path}: {error}") from None
        if hashlib.sha256(found).hexdigest() != row["sha256"]:
            where = state_files.url_of(row) or self.path
            raise RegistryError(f"the weights of run {run_id} in {where} are damaged: their SHA-256 does not match")
        return found

    def _without_weights(self, connection: Connection, run_id: str) -> str:
        """Why a run has no weights, and which runs have theirs."""
        status = connection.execute("SELECT status FROM trainings WHERE id = :id", {"id": run_id}).fetchone()["status"]
        with_weights = [str(row["id"]) for row in connection.execute(_WITH_WEIGHTS)]
        have = f"{len(with_weights):,} {'run has its' if len(with_weights) == 1 else 'runs have their'} own"
        some = ", ".join(with_weights[:5]) + (" ..." if len(with_weights) > 5 else "")
        if status != FINISHED:
            there = f"; {have}: {some}" if with_weights else ""
            return f"run {run_id} has no weights in {self.path}, for it did not finish{there}"
        there = f"{have}: {some}" if with_weights else "nor were any other run's"
        return f"run {run_id} is finished, but its weights were not kept in {self.path}; {there}"

    def with_weights(self) -> frozenset[str]:
        """The runs whose weights are there, by id."""
        with self.reading() as connection:
            return frozenset(str(row["id"]) for row in connection.execute(_WITH_WEIGHTS))

    def checkpoint(self, run_id: str) -> Checkpoint | None:
        """The checkpoint to resume a run from; None if it must start over. Raises RegistryError if it is damaged."""
        row = self.checkpoint_row(run_id)
        return state_files.checkpoint(row, run_id, self.path) if row else None

    def checkpoint_row(self, run_id: str) -> dict[str, Any] | None:
        """The row of a run's checkpoint, whose state may be in a file."""
        with self.reading() as connection:
            row = connection.execute(_CHECKPOINT, {"key": self.key(connection, run_id)}).fetchone()
            return {name: row[name] for name in row.keys()} if row else None  # noqa: SIM118 - a row is no dict

    def weights_digest(self, run_id: str) -> str | None:
        """The SHA-256 of a run's weights; None if it has none."""
        with self.reading() as connection:
            row = connection.execute(_DIGEST, {"key": self.key(connection, run_id)}).fetchone()
        return row["sha256"] if row else None

    def is_writable(self) -> bool:
        """Whether this registry can be written as well as read."""
        return self.database.is_writable()

    def size(self) -> tuple[int, int | None]:
        """Bytes on disk, and how many of them are free (None if that is not known)."""
        with self.reading() as connection:
            return self.database.size(connection)

    def version(self) -> object:
        """A value that changes whenever anyone else changes the registry."""
        with self.reading() as connection:
            return self.database.version(connection)

    def damage(self) -> list[str]:
        """Problems of the database itself, not of the runs in it."""
        with self.reading() as connection:
            return self.database.check(connection)

    def key(self, connection: Connection, run_id: str) -> int:
        """A run's integer key, by which its epochs refer to it. Raises UnknownRunError if there is no such run."""
        known = self.database.generation, run_id
        if known not in self._keys:
            row = connection.execute(_KEY, {"id": run_id}).fetchone()
            if row is None:
                raise UnknownRunError(f"there is no run {run_id!r} in {self.path}")
            self._keys[known] = row["key"]
        return self._keys[known]

    def sighting(self, run_id: str) -> Sighting:
        """What is known of the process that works on a run; only the status if it is not recorded as running."""
        with self.reading() as connection:
            return self._sighting(connection, self.key(connection, run_id))

    def _sighting(self, connection: Connection, key: int) -> Sighting:
        row = connection.execute("SELECT status FROM trainings WHERE key = :key", {"key": key}).fetchone()
        if row is None:  # somebody deleted its row, or wrote another file over this one
            raise UnknownRunError(f"a run of {self.path} is no longer in it")
        return self._sightings(connection, key).get(key, Sighting(status=row["status"]))

    def _sightings(self, connection: Connection, key: int | None = None) -> dict[int, Sighting]:
        """The sightings of runs recorded as running, by key: running, lost, or not observable from here.

        With `key`, of that run alone.
        """
        found = {}
        rows = connection.execute(_RUNNING) if key is None else connection.execute(_RUNNING_ONE, {"key": key})
        for row in rows:
            if row["session"] is None:
                found[row["key"]] = Sighting(status=LOST)
                continue
            sign = f"{row['session']} {row['heartbeat_at']}"
            with self.naming(row["id"]):
                alive = decoding.process(row).is_alive()
                seen = datetime.fromisoformat(row["heartbeat_at"])
            if alive is None:
                found[row["key"]] = Sighting(
                    status=RUNNING, unseen=True, sign=sign, last_seen=seen.isoformat(timespec="milliseconds")
                )
            else:
                found[row["key"]] = Sighting(status=RUNNING if alive else LOST, sign=sign)
        return found

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """A connection whose reads all see one snapshot of the registry."""
        try:
            with self.database.reading() as connection:
                yield connection
        except UNREADABLE as error:
            raise RegistryError(f"{self.path} is damaged: a row in it cannot be read ({error})") from None

    @contextmanager
    def naming(self, run_id: str) -> Iterator[None]:
        """Raise RegistryError that names the run if its row cannot be read."""
        try:
            yield
        except UNREADABLE as error:
            raise self._unreadable(run_id, error) from None

    def _unreadable(self, run_id: str, error: Exception) -> RegistryError:
        return RegistryError(f"{self.path} is damaged: run {run_id} cannot be read ({error})")


@contextmanager
def _without_collection() -> Iterator[None]:
    """No collection of garbage while many objects are made and kept: it would look at all of them again and again.

    Afterwards they are as old as what stays.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()  # both together make all of them old, and look at none
            gc.unfreeze()
            gc.enable()


def _run(
    row: Row,
    seen: Sighting | None,
    tags: tuple[str, ...],
    recipe_of: Callable[[str], Recipe] = Recipe.from_text,
) -> Run:
    if seen is None:
        return decoding.run(row, tags=tags, recipe_of=recipe_of)
    return decoding.run(row, status=seen.status, tags=tags, last_seen=seen.last_seen, recipe_of=recipe_of)
