"""Registry: a reader that also writes. Each method is one short transaction; nothing is held between.

Statements are SQLAlchemy's core ones on the tables of kws.registry.tables: recording an epoch takes a fraction of a
millisecond.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from kws.data_card import DataCard
from kws.environment import Environment
from kws.events import EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry import rows
from kws.registry.connection import writing
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, RUNNING
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


class Registry(RegistryReader):
    """A registry file, opened for writing too; with `create` it is made where there is none."""

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

    @contextmanager
    def _write(self, *, durable: bool = True) -> Iterator[Connection]:
        with self._translated(), writing(self._engine, durable=durable).begin() as connection:
            yield connection


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
