"""Registry: a reader that also writes. Each method is one short transaction; no lock is held in between."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from kws.errors import LostConnectionError, RegistryError
from kws.events import DataCard, EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry import entries, serialization, sources, view
from kws.registry.environment import Environment
from kws.registry.kept import Kept
from kws.registry.location import Location
from kws.registry.process import Process
from kws.registry.protocols import Connection
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, RUNNING, UNTESTED, Run, require_cut_off

_ID_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no vowels, so that no id is a word, especially not `last`
_ID_LENGTH = 8
_AGAIN_SECONDS = 30.0
P = ParamSpec("P")
T = TypeVar("T")
_TIMES = ("milliseconds", "processor_seconds")  # a repeated epoch may take another time

_EPOCH = "SELECT * FROM epochs WHERE run_key = :run_key AND epoch = :epoch"
_FORGET = "DELETE FROM epochs WHERE run_key = :run_key AND epoch >= :epoch"
_TIME_LEFT = """
UPDATE trainings SET milliseconds = (SELECT coalesce(sum(milliseconds), 0) FROM epochs WHERE run_key = :run_key)
WHERE key = :run_key
"""
_PROGRESS = """
UPDATE trainings
SET epochs_done = :epoch, validation_accuracy = :validation_accuracy, milliseconds = milliseconds + :milliseconds
WHERE key = :run_key
"""
_BEAT = """
UPDATE sessions SET heartbeat_at = :now WHERE run_key = :key AND session = :session
AND NOT EXISTS (SELECT 1 FROM sessions WHERE run_key = :key AND session > :session)
"""
_FINISHED = """
SELECT 1 FROM trainings JOIN weights ON run_key = key WHERE key = :key AND status = 'finished' AND sha256 = :digest
"""
_DROP = "DELETE FROM checkpoints WHERE run_key = :key"
_SESSIONS = "SELECT count(*) FROM sessions WHERE run_key = :key"
# The first predictions on a finished run's own test split are its test, whichever command made them.


def _begun_anew(method: Callable[P, T]) -> Callable[P, T]:
    """The same transaction, retried for up to half a minute if the connection to a server breaks within it.

    Only for idempotent transactions: after a lost COMMIT the outcome is unknown.
    """

    @wraps(method)
    def whole(*arguments: P.args, **more: P.kwargs) -> T:
        until = time.monotonic() + _AGAIN_SECONDS
        while True:
            try:
                return method(*arguments, **more)
            except LostConnectionError:
                if time.monotonic() > until:
                    raise

    return whole


class Registry(RegistryReader):
    """A registry opened for reading and writing; with `create` it is created if there is none.

    With `tests` False, runs started here get the tag `untested`: they are not tested when they end.
    """

    def __init__(self, path: Location, *, create: bool = False, tests: bool = True) -> None:
        super().__init__(path, create=create)
        self._tests = tests
        self._sessions: dict[str, int] = {}  # session numbers of this process, by run
        self._kept: dict[str, Kept] = {}  # for the runs that this process records

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
        with self._database.writing() as connection:
            about = {"name": name, "note": note, "rerun_of": rerun_of}
            size = {"parameters": parameters, "multiply_accumulates": multiply_accumulates}
            run_id = self._start(connection, recipe, card, environment, source, **about, **size)
        self._hold(run_id)
        return run_id

    def _start(
        self,
        connection: Connection,
        recipe: Recipe,
        card: DataCard,
        environment: Environment,
        source: str | None,
        **columns: Any,
    ) -> str:
        run_id = _new_id()
        values = columns | {
            "id": run_id,
            "status": RUNNING,
            "started_at": entries.now(),
            "data_fingerprint": card.fingerprint,
            "epochs_done": 0,
            "milliseconds": 0,
        }
        entries.keep_card(connection, card)
        if source is not None:
            sources.keep(connection, source)
        view.require_columns(connection)
        entries.insert(
            connection, "trainings", values | serialization.of_recipe(recipe) | dataclasses.asdict(environment)
        )
        self._begin_session(connection, run_id, first_epoch=1)
        if not self._tests:
            self._tag(connection, run_id, [UNTESTED])
        return run_id

    def go_on(self, run_id: str, *, epochs: int, environment: Environment, silent: str | None = None) -> None:
        """Record that this process resumes a run, up to `epochs` epochs in all.

        Raises RegistryError if the run is finished, or if another process works on it. A process that cannot be
        observed from here counts as working, unless its last heartbeat is still `silent`: the one that the caller has
        watched for long enough.
        """
        with self._database.writing() as connection:
            seen = self._sighting(connection, self._key(connection, run_id))
            if not (seen.unseen and seen.sign == silent):
                require_cut_off(run_id, seen.status)
            self._take_over(connection, run_id, epochs=epochs, environment=environment)
        self._hold(run_id)

    def _take_over(self, connection: Connection, run_id: str, *, epochs: int, environment: Environment) -> None:
        key = self._key(connection, run_id)
        checkpoint = self.checkpoint(run_id)
        first_epoch = checkpoint.epoch + 1 if checkpoint else 1
        recipe = self.by_id(run_id).recipe
        longer = {} if recipe.epochs == epochs else serialization.of_recipe(dataclasses.replace(recipe, epochs=epochs))
        _change_run(connection, key, status=RUNNING, ended_at=None, error=None, **longer)
        self._begin_session(connection, run_id, first_epoch=first_epoch, environment=environment)

    def _hold(self, run_id: str) -> None:
        """Bind a run that this process has just begun to the path: its records must end up in the file there."""
        self._database.hold(run_id, self._sessions[run_id])
        self._database.confirm(run_id, self._kept[run_id].sessions[-1]["heartbeat_at"])

    @contextmanager
    def _recording(self, run_id: str, *, thoroughly: bool = False) -> Iterator[Connection]:
        """A transaction about a run that this process records; it renews the run's heartbeat.

        Raises RegistryError if another process has resumed the run meanwhile. Raises ReplacedError if the path leads to
        another file, before or after the transaction.
        """
        with self._database.writing(run=run_id) as connection:
            beat = self._beat(connection, run_id)
            yield connection
        self._database.confirm(run_id, beat, thoroughly=thoroughly)

    def _release(self, run_id: str) -> None:
        self._database.release(run_id)
        self._kept.pop(run_id, None)

    def kept(self, run_id: str) -> Kept:
        """What this process remembers of a run that it records."""
        return self._kept[run_id]

    def abandon(self) -> None:
        """Close a file that the path no longer leads to, and forget the runs recorded in it."""
        self._database.abandon()
        self._kept.clear()

    @_begun_anew
    def record(self, run_id: str, epoch: EpochEnd, checkpoint: bytes | None = None) -> None:
        """Record a finished epoch and the checkpoint to resume from, in one transaction.

        A resumed run may repeat an epoch. A repeated epoch is normally bit-identical, and the recorded one stays. If it
        differs (on another machine), it and all later epochs are replaced. Raises RegistryError if another process has
        resumed the run meanwhile.
        """
        row: dict[str, Any] | None = None
        try:
            with self._recording(run_id) as connection:
                key = self._key(connection, run_id)
                row = serialization.of_epoch(key, epoch, round(1000 * epoch.seconds))
                new = entries.insert(connection, "epochs", row, known=True)
                if not new and _differs(connection.execute(_EPOCH, row).fetchone(), row):
                    connection.execute(_FORGET, row)
                    connection.execute(_TIME_LEFT, row)
                    new = entries.insert(connection, "epochs", row)
                if new:
                    connection.execute(_PROGRESS, row)
                if checkpoint is not None:
                    digest = hashlib.sha256(checkpoint).hexdigest()
                    values = {"run_key": key, "epoch": epoch.epoch, "sha256": digest, "safetensors": checkpoint}
                    entries.insert(connection, "checkpoints", values, anew="run_key")
        finally:  # also if recording failed: the epoch is then kept elsewhere
            if kept := self._kept.get(run_id):
                kept.record(row or serialization.of_epoch(0, epoch, round(1000 * epoch.seconds)), checkpoint)

    @_begun_anew
    def beat(self, run_id: str) -> None:
        """Record that this process still works on a run; used during long epochs."""
        with self._recording(run_id):
            pass

    @_begun_anew
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
        dropped = 0
        with self._recording(run_id, thoroughly=True) as connection:
            key = self._key(connection, run_id)
            digest = hashlib.sha256(weights).hexdigest()
            if not connection.execute(_FINISHED, {"key": key, "digest": digest}).fetchone():
                entries.insert(connection, "weights", {"run_key": key, "sha256": digest, "safetensors": weights})
                _change_run(connection, key, status=FINISHED, ended_at=entries.now())
                for each in (evaluation, validation):
                    if each:
                        entries.keep_evaluation(connection, key, each, card)
                dropped = connection.execute(_DROP, {"key": key}).rowcount
            # else an earlier attempt of this call finished it, and the reply to its COMMIT was lost
        run = self.by_id(run_id)  # before the release: the path must still lead to the file that the run is in
        self._release(run_id)
        if dropped:
            self._database.trim()
        return run

    @_begun_anew
    def end(self, run_id: str, status: str, error: str | None = None) -> Run:
        """Record that this process's run ended before its last epoch, and why; a finished run stays finished.

        Returns the run. Raises RegistryError if another process has resumed it meanwhile, and ReplacedError if the path
        leads to another file.
        """
        with self._recording(run_id, thoroughly=True) as connection:
            key = self._key(connection, run_id)
            if self._sighting(connection, key).status != FINISHED:
                _change_run(connection, key, status=status, ended_at=entries.now(), error=error)
        run = self.by_id(run_id)
        self._release(run_id)
        return run

    @_begun_anew
    def keep_card(self, card: DataCard) -> None:
        """Record a data set."""
        with self._database.writing() as connection:
            entries.keep_card(connection, card)

    @_begun_anew
    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard) -> None:
        """Record a run's predictions on a split of the data set that `card` describes; the first ones recorded stay.

        On the run's own test split they are its test.
        """
        with self._database.writing(run=run_id) as connection:
            entries.keep_card(connection, card)
            entries.keep_evaluation(connection, self._key(connection, run_id), evaluation, card)

    @_begun_anew
    def delete(self, run_id: str, *, silent: str | None = None) -> None:
        """Hide a run from every table until it is restored or purged.

        Raises RegistryError if the run is still running. For a process that cannot be observed from here, and for
        `silent`, see go_on().
        """
        with self._database.writing() as connection:
            key = self._key(connection, run_id)
            seen = self._sighting(connection, key)
            if seen.status == RUNNING and not (seen.unseen and seen.sign == silent):
                raise RegistryError(f"run {run_id} is still running; stop it first")
            _change_run(connection, key, deleted_at=entries.now())

    @_begun_anew
    def restore(self, run_id: str) -> None:
        """Show a deleted run in the tables again."""
        with self._database.writing() as connection:
            _change_run(connection, self._key(connection, run_id), deleted_at=None)

    @_begun_anew
    def annotate(self, run_id: str, note: str | None) -> None:
        """Set a run's note, replacing the one it has."""
        with self._database.writing(run=run_id) as connection:
            _change_run(connection, self._key(connection, run_id), note=note)

    @_begun_anew
    def tag(self, run_id: str, tags: Iterable[str], *, remove: bool = False) -> None:
        """Add tags to a run, or remove them."""
        with self._database.writing(run=run_id) as connection:
            self._tag(connection, run_id, tags, remove=remove)

    def _tag(self, connection: Connection, run_id: str, tags: Iterable[str], *, remove: bool = False) -> None:
        key = self._key(connection, run_id)
        for tag in tags:
            row = {"run_key": key, "tag": tag}
            if remove:
                connection.execute("DELETE FROM tags WHERE run_key = :run_key AND tag = :tag", row)
            else:
                entries.insert(connection, "tags", row, known=True)

    def _begin_session(
        self, connection: Connection, run_id: str, *, first_epoch: int, environment: Environment | None = None
    ) -> None:
        key = self._key(connection, run_id)
        (before,) = connection.execute(_SESSIONS, {"key": key}).fetchone()
        self._sessions[run_id] = before + 1
        values = {
            "run_key": key,
            "session": before + 1,
            "first_epoch": first_epoch,
            "started_at": entries.now(),
            "heartbeat_at": entries.now(),
            "environment": json.dumps(dataclasses.asdict(environment)) if environment else None,
        }
        entries.insert(connection, "sessions", values | serialization.of_process(Process.here()))
        self._kept[run_id] = Kept.of(connection, key)

    def _beat(self, connection: Connection, run_id: str) -> str:
        """Renew the heartbeat of this process's session and return it.

        Raises RegistryError if that session is not the run's last.
        """
        now = entries.now()
        mine = {"key": self._key(connection, run_id), "session": self._sessions.get(run_id), "now": now}
        if not connection.execute(_BEAT, mine).rowcount:
            raise RegistryError(f"run {run_id} is no longer this process's: another one has gone on with it")
        return now


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _differs(known: serialization.Row, row: dict[str, Any]) -> bool:
    """Whether a repeated epoch is another one than the recorded."""
    return any(known[name] != row[name] for name in row if name not in _TIMES)


def _change_run(connection: Connection, key: int, **values: Any) -> None:
    changes = ", ".join(f"{column} = :{column}" for column in values)
    connection.execute(f"UPDATE trainings SET {changes} WHERE key = :key", values | {"key": key})  # noqa: S608 - our names
