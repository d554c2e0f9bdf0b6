"""Entries: what is recorded beside a run's own row: data sets, answers, and the ledger of what was tested.

Each function is part of its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kws.events import ALL, SPLITS, TEST, DataCard, Evaluation
from kws.registry import serialization
from kws.registry.protocols import Connection
from kws.registry.runs import UNTESTED

_HAS_MANIFESTS = "SELECT 1 FROM manifests WHERE data_fingerprint = :fingerprint"
_SAME_ANSWERS = """
SELECT 1 FROM evaluations WHERE run_key = :run_key AND data_fingerprint = :data_fingerprint AND split = :split
AND predictions = :predictions
"""
_TESTED = """
UPDATE trainings SET test_accuracy = (
    SELECT accuracy FROM evaluations WHERE run_key = key AND evaluations.data_fingerprint = trainings.data_fingerprint
    AND split = :split
) WHERE key = :run_key AND data_fingerprint = :data_fingerprint AND status = 'finished' AND test_accuracy IS NULL
"""
_NOT_UNTESTED = "DELETE FROM tags WHERE run_key = :run_key AND tag = :tag"
_FIRST_KNOWN = ("unused", "content", "band_means")  # of a data set: they stay as they were first recorded


def now() -> str:
    """This moment, as the registry writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def insert(connection: Connection, table: str, row: Mapping[str, Any], *, known: bool = False, anew: str = "") -> None:
    """Insert a row; one that is `known` may stay as it is, one with the same columns `anew` takes these values."""
    names, values = ", ".join(row), ", ".join(f":{column}" for column in row)
    changes = ", ".join(f"{column} = excluded.{column}" for column in row)
    rule = f"ON CONFLICT ({anew}) DO UPDATE SET {changes}" if anew else "ON CONFLICT DO NOTHING" if known else ""
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values}) {rule}", row)  # noqa: S608 - our names


def keep_card(connection: Connection, card: DataCard) -> None:
    """Record a data set where it is new, or was taken in from elsewhere as something that it is not.

    Its name stays the one that it was first recorded under: the same clips elsewhere change no title of earlier runs.
    What an older registry does not have of it, its manifests above all, is added.
    """
    row = serialization.of_card(card)
    known = connection.execute("SELECT * FROM data WHERE fingerprint = :fingerprint", row).fetchone()
    if known is None:
        insert(connection, "data", row, known=True)
    elif dict(known) != (row := row | _as_first_recorded(known)):
        changes = ", ".join(f"{column} = :{column}" for column in row)
        connection.execute(f"UPDATE data SET {changes} WHERE fingerprint = :fingerprint", row)  # noqa: S608 - our names
    for split in serialization.of_splits(card):
        same = " AND ".join(f"{column} = :{column}" for column in split)
        if connection.execute(f"SELECT 1 FROM splits WHERE {same}", split).fetchone() is None:  # noqa: S608 - as above
            insert(connection, "splits", split, anew="data_fingerprint, split")
    if card.manifests and not connection.execute(_HAS_MANIFESTS, row).fetchone():
        for manifest in serialization.of_manifests(card):
            insert(connection, "manifests", manifest, anew="data_fingerprint, split")


def _as_first_recorded(known: serialization.Row) -> dict[str, Any]:
    """The columns of a known data set that what is recorded now does not change."""
    kept = {name: known[name] for name in _FIRST_KNOWN if known[name] is not None}
    return {"source": known["source"], **kept}


def keep_evaluation(connection: Connection, key: int, evaluation: Evaluation, card: DataCard) -> None:
    """Record a run's answers on a split, and that it was looked at; the first on its own test split are its test."""
    values = serialization.of_evaluation(key, evaluation, card) | {"evaluated_at": now()}
    insert(connection, "evaluations", values, known=True)
    _enter_in_ledger(connection, key, evaluation.split, card, at=values["evaluated_at"])
    if evaluation.split == TEST and connection.execute(_TESTED, values).rowcount:
        connection.execute(_NOT_UNTESTED, {"run_key": key, "tag": UNTESTED})
    if evaluation.logits and connection.execute(_SAME_ANSWERS, values).fetchone():  # an older run may have none yet
        insert(connection, "logits", serialization.of_logits(key, evaluation, card), known=True)


def _enter_in_ledger(connection: Connection, key: int, split: str, card: DataCard, *, at: str) -> None:
    """Enter that a split was looked at: the ledger keeps it, whatever becomes of the run."""
    row = connection.execute("SELECT * FROM trainings WHERE key = :key", {"key": key}).fetchone()
    look = {"run_id": row["id"], "tested_at": at, "recipe": row["cell_digest"]}
    for part in SPLITS if split == ALL else (split,):
        about = {"split_fingerprint": card.split_fingerprints[part], "split": part}
        insert(connection, "tests", look | about, known=True)
