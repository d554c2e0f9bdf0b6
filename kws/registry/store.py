"""Registry: a reader that also writes. Each method is one short transaction; no lock is held in between."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kws.errors import RegistryError
from kws.events import DataCard, EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry import checkpoint_files, entries, records, serialization, sources, view
from kws.registry.checkpoint_files import CheckpointFiles
from kws.registry.environment import Environment
from kws.registry.kept import Kept
from kws.registry.location import Location
from kws.registry.patience import SHORT_SECONDS, Patience, patiently
from kws.registry.process import Process
from kws.registry.protocols import Backend, Connection
from kws.registry.reader import RegistryReader
from kws.registry.records import Batch
from kws.registry.runs import FINISHED, RUNNING, UNTESTED, Run, require_cut_off

_ID_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no vowels, so that no id is a word, especially not `last`
_ID_LENGTH = 8

_FINISHED = """
SELECT 1 FROM trainings JOIN weights ON run_key = key WHERE key = :key AND status = 'finished' AND sha256 = :digest
"""
_URL = "SELECT url FROM checkpoints WHERE run_key = :key"
_DROP = "DELETE FROM checkpoints WHERE run_key = :key"
_LAST_SESSION = """
SELECT sessions.* FROM sessions JOIN trainings ON run_key = key
WHERE id = :id AND status = 'running' ORDER BY session DESC LIMIT 1
"""
_CARD = "SELECT 1 FROM data WHERE fingerprint = :data"
_SESSIONS = "SELECT count(*) FROM sessions WHERE run_key = :key"


class Registry(RegistryReader):
    """A registry opened for reading and writing; with `create` it is created if there is none.

    With `tests` False, runs started here get the tag `untested`: they are not tested when they end. `patience` is for
    how many seconds writes wait for a registry that is away.
    """

    def __init__(
        self,
        path: Location,
        *,
        create: bool = False,
        tests: bool = True,
        patience: float = SHORT_SECONDS,
        files: CheckpointFiles | None = None,
        database: Backend | None = None,
    ) -> None:
        super().__init__(path, create=create, database=database)
        self.files, self.checkpoint_seconds = files, 0.0  # for the latter see RelayedRegistry
        self.patience = Patience(patience)
        self.process = Process.here()  # that works on the runs that are begun here
        self._tests = tests
        self._view_of = -1  # the generation of the file whose view has the columns of all options
        self.sessions: dict[str, int] = {}  # session numbers of this process, by run
        self._kept: dict[str, Kept] = {}  # for the runs that this process records in a file
        self._cards = set[tuple[int, str, bool]]()  # that are in the registry, unless they were purged

    def start(
        self,
        recipe: Recipe,
        card: DataCard,
        *,
        parameters: int,
        environment: Environment,
        name: str | None = None,
        note: str | None = None,
        rerun_of: str | None = None,
        multiply_accumulates: int | None = None,
        source: str | None = None,
    ) -> str:
        """Record a run that this process starts now, with the source of a network of the user's own; returns its id."""
        run_id = new_id()
        about = {"name": name, "note": note, "rerun_of": rerun_of}
        size = {"parameters": parameters, "multiply_accumulates": multiply_accumulates}
        self._start_once(run_id, entries.now(), recipe, card, environment, source, **about, **size)
        self._hold(run_id)
        return run_id

    @patiently
    def _start_once(self, run_id: str, begun: str, *about: Any, **columns: Any) -> None:
        with self.database.writing() as connection:
            if not self._has_begun(connection, run_id, begun):
                self._start(connection, run_id, begun, *about, **columns)
        self._view_of = self.database.generation  # it has been committed

    def _start(
        self,
        connection: Connection,
        run_id: str,
        begun: str,
        recipe: Recipe,
        card: DataCard,
        environment: Environment,
        source: str | None,
        **columns: Any,
    ) -> None:
        values = columns | {
            "id": run_id,
            "status": RUNNING,
            "started_at": begun,
            "data_fingerprint": card.fingerprint,
            "epochs_done": 0,
            "milliseconds": 0,
        }
        self._keep_card(connection, card)
        if source is not None:
            sources.keep(connection, source)
        if source is not None or self._view_of != self.database.generation:
            view.require_columns(connection)
        row = values | serialization.of_recipe(recipe) | dataclasses.asdict(environment)
        key = self._keys[self.database.generation, run_id] = entries.insert_run(connection, row)
        self._begin_session(connection, run_id, key, 1, begun, first_epoch=1)
        if not self._tests:
            self._tag(connection, run_id, [UNTESTED])

    def _keep_card(self, connection: Connection, card: DataCard) -> None:
        known = self.database.generation, card.fingerprint, bool(card.manifests)
        if known not in self._cards or not connection.execute(_CARD, {"data": card.fingerprint}).fetchone():
            entries.keep_card(connection, card)
            self._cards.add(known)

    def go_on(self, run_id: str, *, epochs: int, environment: Environment, silent: str | None = None) -> None:
        """Record that this process resumes a run, up to `epochs` epochs in all.

        Raises RegistryError if the run is finished, or if another process works on it. A process that cannot be
        observed from here counts as working, unless its last heartbeat is still `silent`: the one that the caller has
        watched for long enough.
        """
        self._go_on_once(run_id, entries.now(), epochs, environment, silent)
        self._hold(run_id)

    @patiently
    def _go_on_once(self, run_id: str, begun: str, epochs: int, environment: Environment, silent: str | None) -> None:
        with self.database.writing() as connection:
            if self._has_begun(connection, run_id, begun):
                return
            seen = self._sighting(connection, self.key(connection, run_id))
            if not (seen.unseen and seen.sign == silent):
                require_cut_off(run_id, seen.status)
            self._take_over(connection, run_id, begun, epochs=epochs, environment=environment)

    def _has_begun(self, connection: Connection, run_id: str, begun: str) -> bool:
        """Whether an earlier attempt of this process to begin a run, at that time, was kept: its answer was lost."""
        found = connection.execute(_LAST_SESSION, {"id": run_id}).fetchone()
        mine = serialization.of_process(self.process) | {"started_at": begun}
        if found is None or any(found[name] != value for name, value in mine.items()):
            return False
        self.sessions[run_id] = found["session"]
        return True

    def _take_over(
        self, connection: Connection, run_id: str, begun: str, *, epochs: int, environment: Environment
    ) -> None:
        key = self.key(connection, run_id)
        checkpoint = self.checkpoint(run_id)
        first_epoch = checkpoint.epoch + 1 if checkpoint else 1
        recipe = self.by_id(run_id).recipe
        longer = {} if recipe.epochs == epochs else serialization.of_recipe(dataclasses.replace(recipe, epochs=epochs))
        _change_run(connection, key, status=RUNNING, ended_at=None, error=None, **longer)
        (before,) = connection.execute(_SESSIONS, {"key": key}).fetchone()
        self._begin_session(
            connection, run_id, key, before + 1, begun, first_epoch=first_epoch, environment=environment
        )

    def _hold(self, run_id: str) -> None:
        """Bind a run that this process has just begun to the path: its records must end up in the file there."""
        if kept := self._kept.get(run_id):
            self.database.hold(run_id, self.sessions[run_id])
            self.database.confirm(run_id, kept.sessions[-1]["heartbeat_at"])

    @contextmanager
    def _recording(self, batch: Batch, *, thoroughly: bool = False) -> Iterator[Connection]:
        """A transaction about a run that this process records, which has recorded the batch.

        Raises RegistryError if another process has resumed the run meanwhile. Raises ReplacedError if the path leads to
        another file, before or after the transaction.
        """
        now = entries.now()
        with self.database.writing(batch.run) as connection:
            (refused,) = records.record(connection, [self.key(connection, batch.run)], [batch], now)
            if refused:
                raise refused
            yield connection
        self.database.confirm(batch.run, now, thoroughly=thoroughly)

    def _release(self, run_id: str) -> None:
        self.database.release(run_id)
        self._kept.pop(run_id, None)

    def kept(self, run_id: str) -> Kept:
        """What this process remembers of a run that it records."""
        return self._kept[run_id]

    def abandon(self) -> None:
        """Close a file that the path no longer leads to, and forget the runs recorded in it."""
        self.database.abandon()
        self._kept.clear()

    def record(self, run_id: str, epoch: EpochEnd, checkpoint: bytes | None = None) -> None:
        """Record a finished epoch and the checkpoint to resume from; see record_all()."""
        self.record_all(run_id, [epoch], (epoch.epoch, checkpoint) if checkpoint is not None else None)

    def record_all(self, run_id: str, epochs: Sequence[EpochEnd], checkpoint: tuple[int, bytes] | None = None) -> None:
        """Record finished epochs, in order, and a checkpoint of one of them to resume from, in one transaction.

        A resumed run may repeat an epoch. A repeated epoch is normally bit-identical, and the recorded one stays. If it
        differs (on another machine), it and all later epochs are replaced. Raises RegistryError if another process has
        resumed the run meanwhile.
        """
        batch = Batch.of(run_id, self.sessions.get(run_id), epochs, checkpoint, self.files)
        try:
            self._record(batch)
        finally:  # also if recording failed: the epochs are then kept elsewhere
            self._remember(batch, checkpoint)
        if self.files and batch.checkpoint:
            self.files.replaced(run_id, batch.checkpoint["url"])

    def remember(self, run_id: str, epochs: Sequence[EpochEnd], checkpoint: tuple[int, bytes] | None) -> None:
        """Keep in memory what can no longer be recorded, so that the run can be saved elsewhere."""
        self._remember(Batch.of(run_id, self.sessions.get(run_id), epochs, None), checkpoint)

    def _remember(self, batch: Batch, checkpoint: tuple[int, bytes] | None) -> None:
        if kept := self._kept.get(batch.run):
            for row in batch.rows:
                kept.record(row)
            kept.checkpoint = checkpoint or kept.checkpoint

    def _batch(self, run_id: str) -> Batch:
        return Batch(run=run_id, session=self.sessions.get(run_id))

    def beat(self, run_id: str) -> None:
        """Record that this process still works on a run; used during long epochs."""
        self._record(self._batch(run_id))

    @patiently
    def _record(self, batch: Batch) -> None:
        with self._recording(batch):
            pass

    @patiently
    def finish(
        self,
        run_id: str,
        evaluation: Evaluation | None,
        card: DataCard,
        weights: bytes,
        *,
        validation: Evaluation | None = None,
    ) -> Run:
        """Record the end of a run: its weights and its predictions on the test split, in one transaction.

        Its predictions on the validation split, if given, are what a detector's thresholds are chosen by. Returns the
        run. A run that is not tested has no predictions on the test split and no test accuracy. Before this returns,
        the end has been read back from the file through the path. Raises ReplacedError if it was not found there.
        """
        dropped, url = 0, None
        with self._recording(self._batch(run_id), thoroughly=True) as connection:
            key = self.key(connection, run_id)
            digest = hashlib.sha256(weights).hexdigest()
            if not connection.execute(_FINISHED, {"key": key, "digest": digest}).fetchone():
                entries.insert(connection, "weights", {"run_key": key, "sha256": digest, "safetensors": weights})
                _change_run(connection, key, status=FINISHED, ended_at=entries.now())
                for each in (evaluation, validation):
                    if each:
                        entries.keep_evaluation(connection, key, each, card)
                if row := connection.execute(_URL, {"key": key}).fetchone():
                    url = row["url"]
                dropped = connection.execute(_DROP, {"key": key}).rowcount
            # else an earlier attempt of this call finished it, and the reply to its COMMIT was lost
        run = self.by_id(run_id)  # before the release: the path must still lead to the file that the run is in
        self._release(run_id)
        if url:
            checkpoint_files.remove(url, run_id)
        elif dropped:
            self.database.trim()
        return run

    @patiently
    def end(self, run_id: str, status: str, error: str | None = None) -> Run:
        """Record that this process's run ended before its last epoch, and why; a finished run stays finished.

        Returns the run. Raises RegistryError if another process has resumed it meanwhile, and ReplacedError if the path
        leads to another file.
        """
        with self._recording(self._batch(run_id), thoroughly=True) as connection:
            key = self.key(connection, run_id)
            if self._sighting(connection, key).status != FINISHED:
                _change_run(connection, key, status=status, ended_at=entries.now(), error=error)
        run = self.by_id(run_id)
        self._release(run_id)
        return run

    @patiently
    def keep_card(self, card: DataCard) -> None:
        """Record a data set."""
        with self.database.writing() as connection:
            entries.keep_card(connection, card)

    @patiently
    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard) -> None:
        """Record a run's predictions on a split of the data set that `card` describes; the first ones recorded stay.

        On the run's own test split they are its test.
        """
        with self.database.writing(run_id) as connection:
            entries.keep_card(connection, card)
            entries.keep_evaluation(connection, self.key(connection, run_id), evaluation, card)

    @patiently
    def delete(self, run_id: str, *, silent: str | None = None) -> None:
        """Hide a run from every table until it is restored or purged.

        Raises RegistryError if the run is still running. For a process that cannot be observed from here, and for
        `silent`, see go_on().
        """
        with self.database.writing() as connection:
            key = self.key(connection, run_id)
            seen = self._sighting(connection, key)
            if seen.status == RUNNING and not (seen.unseen and seen.sign == silent):
                raise RegistryError(f"run {run_id} is still running; stop it first")
            _change_run(connection, key, deleted_at=entries.now())

    @patiently
    def restore(self, run_id: str) -> None:
        """Show a deleted run in the tables again."""
        with self.database.writing() as connection:
            _change_run(connection, self.key(connection, run_id), deleted_at=None)

    @patiently
    def annotate(self, run_id: str, note: str | None) -> None:
        """Set a run's note, replacing the one it has."""
        with self.database.writing(run_id) as connection:
            _change_run(connection, self.key(connection, run_id), note=note)

    @patiently
    def tag(self, run_id: str, tags: Iterable[str], *, remove: bool = False) -> None:
        """Add tags to a run, or remove them."""
        with self.database.writing(run_id) as connection:
            self._tag(connection, run_id, tags, remove=remove)

    def _tag(self, connection: Connection, run_id: str, tags: Iterable[str], *, remove: bool = False) -> None:
        key = self.key(connection, run_id)
        for tag in tags:
            row = {"run_key": key, "tag": tag}
            if remove:
                connection.execute("DELETE FROM tags WHERE run_key = :run_key AND tag = :tag", row)
            else:
                entries.insert(connection, "tags", row, known=True)

    def _begin_session(
        self,
        connection: Connection,
        run_id: str,
        key: int,
        session: int,
        begun: str,
        *,
        first_epoch: int,
        environment: Environment | None = None,
    ) -> None:
        self.sessions[run_id] = session
        values = {
            "run_key": key,
            "session": session,
            "first_epoch": first_epoch,
            "started_at": begun,
            "heartbeat_at": entries.now(),
            "environment": json.dumps(dataclasses.asdict(environment)) if environment else None,
        }
        entries.insert(connection, "sessions", values | serialization.of_process(self.process))
        if isinstance(self.path, Path):  # of a server nothing is replaced
            self._kept[run_id] = Kept.of(connection, key)


def new_id() -> str:
    """An id for a new run, drawn at random."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _change_run(connection: Connection, key: int, **values: Any) -> None:
    changes = ", ".join(f"{column} = :{column}" for column in values)
    connection.execute(f"UPDATE trainings SET {changes} WHERE key = :key", values | {"key": key})  # noqa: S608 - our names
