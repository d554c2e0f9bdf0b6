"""Registry: a reader that also writes. Each method is one short transaction; nothing is held between."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any

from kws.data_card import DataCard
from kws.environment import Environment
from kws.events import EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry import rows
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, RUNNING

_ID_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no vowels, so that no id is a word, `last` least of all
_ID_LENGTH = 8

_PROGRESS = """
UPDATE runs SET epochs_done = :epoch, milliseconds = milliseconds + :milliseconds, validation_accuracy = :accuracy
WHERE key = :run_key
"""


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
        with self._database.writing() as connection:
            _keep_card(connection, card)
            _insert(connection, "runs", values | rows.of_recipe(recipe) | dataclasses.asdict(environment))
        return run_id

    def record(self, run_id: str, epoch: EpochEnd) -> None:
        """Record an epoch that has ended."""
        with self._database.writing(durable=False) as connection:
            key = self._key(connection, run_id)
            milliseconds = round(1000 * epoch.seconds)
            row = rows.of_epoch(key, epoch, milliseconds)
            _insert(connection, "epochs", row)
            connection.execute(_PROGRESS, row | {"accuracy": epoch.validation_accuracy})

    def finish(self, run_id: str, evaluation: Evaluation, card: DataCard, weights: bytes) -> None:
        """Record the end of a run: its answers on the test split and its weights, in one transaction."""
        with self._database.writing() as connection:
            key = self._key(connection, run_id)
            _keep_evaluation(connection, key, evaluation, card)
            digest = hashlib.sha256(weights).hexdigest()
            _insert(connection, "weights", {"run_key": key, "sha256": digest, "safetensors": weights})
            _change_run(connection, key, status=FINISHED, ended_at=_now(), test_accuracy=evaluation.accuracy)

    def end(self, run_id: str, status: str, error: str | None = None) -> None:
        """Record that a run ended before its last epoch, and why."""
        with self._database.writing() as connection:
            _change_run(connection, self._key(connection, run_id), status=status, ended_at=_now(), error=error)

    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard) -> None:
        """Record a run's answers on a split of the data set that `card` describes; the first ones recorded stay."""
        with self._database.writing() as connection:
            _keep_card(connection, card)
            _keep_evaluation(connection, self._key(connection, run_id), evaluation, card)


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _insert(connection: Connection, table: str, row: Mapping[str, Any], *, known: str = "") -> None:
    columns, values = ", ".join(row), ", ".join(f":{column}" for column in row)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({values}) {known}", row)  # noqa: S608 - our names


def _change_run(connection: Connection, key: int, **values: Any) -> None:
    changes = ", ".join(f"{column} = :{column}" for column in values)
    connection.execute(f"UPDATE runs SET {changes} WHERE key = :key", values | {"key": key})  # noqa: S608 - our names


def _keep_card(connection: Connection, card: DataCard) -> None:
    """Record a data set where it is new."""
    if connection.execute("SELECT 1 FROM data WHERE fingerprint = ?", (card.fingerprint,)).fetchone() is None:
        _insert(connection, "data", rows.of_card(card))
        for row in rows.of_splits(card):
            _insert(connection, "splits", row)


def _keep_evaluation(connection: Connection, key: int, evaluation: Evaluation, card: DataCard) -> None:
    values = rows.of_evaluation(key, evaluation, card) | {"evaluated_at": _now()}
    _insert(connection, "evaluations", values, known="ON CONFLICT DO NOTHING")
