"""Registry: the one way in and out of the database. Each method is one short transaction; nothing is held between.

Statements are SQLAlchemy's core ones on the tables of kws.registry.tables: recording an epoch takes a fraction of a
millisecond, and a thousand runs are read in some tens of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError

from kws.data_card import DataCard
from kws.environment import Environment
from kws.errors import RegistryError, UnknownRunError
from kws.events import EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry import rows
from kws.registry.connection import connect, failure, writing
from kws.registry.runs import FINISHED, RUNNING, Epoch, Run
from kws.registry.tables import DATA, EPOCHS, EVALUATIONS, RUNS, SPLITS, WEIGHTS

_ID_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no vowels, so that no id is a word, `last` least of all
_ID_LENGTH = 8

# Made once: SQLAlchemy then finds their compiled form at once.
_INSERT_RUN, _INSERT_EPOCH, _INSERT_WEIGHTS = insert(RUNS), insert(EPOCHS), insert(WEIGHTS)
_UPDATE_PROGRESS = (
    update(RUNS)
    .where(RUNS.c.key == bindparam("run"))
    .values(
        epochs_done=bindparam("epoch"),
        milliseconds=RUNS.c.milliseconds + bindparam("more"),
        validation_accuracy=bindparam("validation"),
    )
)


class Registry:
    """A registry file, opened. Raises RegistryError where it cannot be used; see kws.registry.connection."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._engine = connect(path, create=create)
        self._keys: dict[str, int] = {}

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    # Writing

    def start(
        self,
        recipe: Recipe,
        card: DataCard,
        *,
        parameters: int,
        environment: Environment,
        name: str | None = None,
        note: str | None = None,
    ) -> str:
        """Record a run that starts now; returns its id."""
        run_id = _new_id()
        values = {
            "id": run_id,
            "status": RUNNING,
            "name": name,
            "note": note,
            "started_at": _now(),
            "parameters": parameters,
            "data_fingerprint": card.fingerprint,
            "epochs_done": 0,
            "milliseconds": 0,
        }
        with self._write() as connection:
            _keep_card(connection, card)
            connection.execute(_INSERT_RUN, values | rows.of_recipe(recipe) | dataclasses.asdict(environment))
        return run_id

    def record(self, run_id: str, epoch: EpochEnd) -> None:
        """Record an epoch that has ended."""
        with self._write(durable=False) as connection:
            key = self._key(connection, run_id)
            milliseconds = round(1000 * epoch.seconds)
            connection.execute(_INSERT_EPOCH, rows.of_epoch(key, epoch, milliseconds))
            connection.execute(
                _UPDATE_PROGRESS,
                {
                    "run": key,
                    "epoch": epoch.epoch,
                    "more": milliseconds,
                    "validation": epoch.validation_accuracy,
                },
            )

    def finish(self, run_id: str, evaluation: Evaluation, card: DataCard, weights: bytes) -> None:
        """Record the end of a run: its answers on the test split and its weights, in one transaction."""
        with self._write() as connection:
            key = self._key(connection, run_id)
            _keep_evaluation(connection, key, evaluation, card)
            digest = hashlib.sha256(weights).hexdigest()
            connection.execute(_INSERT_WEIGHTS, {"run_key": key, "sha256": digest, "safetensors": weights})
            _change_run(connection, key, status=FINISHED, ended_at=_now(), test_accuracy=evaluation.accuracy)

    def end(self, run_id: str, status: str, error: str | None = None) -> None:
        """Record that a run ended before its last epoch, and why."""
        with self._write() as connection:
            _change_run(connection, self._key(connection, run_id), status=status, ended_at=_now(), error=error)

    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard) -> None:
        """Record a run's answers on a split of the data set that `card` describes; the first ones recorded stay."""
        with self._write() as connection:
            _keep_card(connection, card)
            _keep_evaluation(connection, self._key(connection, run_id), evaluation, card)

    # Reading

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        query = select(*RUNS.columns, DATA.c.source).join(DATA).order_by(RUNS.c.key)
        with self._read() as connection:
            return [rows.run(row) for row in connection.execute(query).mappings()]

    def run(self, reference: str) -> Run:
        """The run that a reference names: its id, an unambiguous beginning of it, or `last`.

        Raises UnknownRunError for none, or several.
        """
        found = self.runs()
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
        raise UnknownRunError(
            f"there is no run {reference!r} in {self.path}; `kws runs list` shows the {len(found)} it has"
        )

    def epochs(self, run_id: str) -> list[Epoch]:
        """A run's epochs, the first one first."""
        with self._read() as connection:
            query = select(EPOCHS).where(EPOCHS.c.run_key == self._key(connection, run_id)).order_by(EPOCHS.c.epoch)
            return [rows.epoch(row) for row in connection.execute(query).mappings()]

    def evaluations(self, run_id: str) -> list[tuple[DataCard, Evaluation]]:
        """A run's evaluations, each with the card of the data it was on."""
        table = EVALUATIONS
        with self._read() as connection:
            query = select(table).where(table.c.run_key == self._key(connection, run_id))
            found = []
            for row in connection.execute(query.order_by(table.c.evaluated_at, table.c.split)).mappings().all():
                card = _card(connection, row["data_fingerprint"])
                found.append((card, rows.evaluation(row, card)))
            return found

    def card(self, fingerprint: str) -> DataCard:
        """The card of a data set that runs were made on."""
        with self._read() as connection:
            return _card(connection, fingerprint)

    def weights(self, run_id: str) -> bytes:
        """A run's weights as a safetensors file; raises RegistryError where it has none or they were changed."""
        with self._read() as connection:
            query = select(WEIGHTS).where(WEIGHTS.c.run_key == self._key(connection, run_id))
            row = connection.execute(query).one_or_none()
        if row is None:
            raise RegistryError(f"run {run_id} has no weights in {self.path}: it did not finish, or they were left out")
        if hashlib.sha256(row.safetensors).hexdigest() != row.sha256:
            raise RegistryError(f"the weights of run {run_id} in {self.path} are damaged: their SHA-256 does not match")
        return row.safetensors

    def _key(self, connection: Connection, run_id: str) -> int:
        """The integer that a run's epochs hang on."""
        if run_id not in self._keys:
            key = connection.execute(select(RUNS.c.key).where(RUNS.c.id == run_id)).scalar_one_or_none()
            if key is None:
                raise UnknownRunError(f"there is no run {run_id!r} in {self.path}")
            self._keys[run_id] = key
        return self._keys[run_id]

    @contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[Connection]:
        with self._translated(), writing(self._engine, durable=durable).begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise failure(self.path, error) from None
        except zlib.error as error:
            raise RegistryError(
                f"{self.path} is damaged: labels or predictions in it cannot be read ({error})"
            ) from None
        except UnicodeEncodeError as error:
            raise RegistryError(f"{error.object!r} cannot be kept in {self.path}: it is not UTF-8; rename it") from None


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _change_run(connection: Connection, key: int, **values: Any) -> None:
    connection.execute(update(RUNS).where(RUNS.c.key == key).values(**values))


def _keep_card(connection: Connection, card: DataCard) -> None:
    """Record a data set where it is new."""
    known = select(DATA.c.fingerprint).where(DATA.c.fingerprint == card.fingerprint)
    if connection.execute(known).scalar_one_or_none() is None:
        connection.execute(insert(DATA), rows.of_card(card))
        connection.execute(insert(SPLITS), rows.of_splits(card))


def _keep_evaluation(connection: Connection, key: int, evaluation: Evaluation, card: DataCard) -> None:
    values = rows.of_evaluation(key, evaluation, card) | {"evaluated_at": _now()}
    connection.execute(insert(EVALUATIONS).prefix_with("OR IGNORE"), values)


def _card(connection: Connection, fingerprint: str) -> DataCard:
    data = connection.execute(select(DATA).where(DATA.c.fingerprint == fingerprint)).mappings().one_or_none()
    if data is None:
        raise RegistryError(f"there is no data set with the fingerprint {fingerprint}")
    splits = connection.execute(select(SPLITS).where(SPLITS.c.data_fingerprint == fingerprint)).mappings()
    return rows.card(data, splits.all())
