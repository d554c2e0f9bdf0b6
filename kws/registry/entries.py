"""Entries: writes what belongs to a run beside its own row: data sets, predictions, and the ledger of tests.

Each function runs in its caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from kws.events import ALL, SPLITS, TEST, DataCard, Evaluation
from kws.registry import pseudonyms, serialization
from kws.registry.protocols import Connection, Writing
from kws.registry.runs import UNTESTED

_SPLITS = "SELECT * FROM splits WHERE data_fingerprint = :fingerprint"
_MANIFESTS = "SELECT paths FROM manifests WHERE data_fingerprint = :fingerprint"
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
_FIRST_KNOWN = ("unused", "content", "band_means")  # columns of a data set that keep their first recorded values


def now() -> str:
    """The current time in the registry's format: ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def insert(connection: Connection, table: str, row: Mapping[str, Any], *, known: bool = False, anew: str = "") -> bool:
    """Insert a row; returns whether it was. On conflict: `known` keeps the old row, `anew` (its key) updates it."""
    return connection.execute(_insertion(table, tuple(row), known, anew), row).rowcount == 1


def insert_run(connection: Connection, row: Mapping[str, Any]) -> int:
    """Insert a run; returns its key in this registry."""
    (made,) = connection.execute(f"{_insertion('trainings', tuple(row), False, '')} RETURNING key", row).fetchall()
    return int(made["key"])


def insert_known(connection: Writing, table: str, rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Insert rows of the same columns that may be there already; returns for each whether it was inserted."""
    return (
        [count == 1 for count in connection.counts(_insertion(table, tuple(rows[0]), True, ""), rows)] if rows else []
    )


def insert_all(connection: Writing, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert new rows of the same columns."""
    if rows:
        names = tuple(rows[0])
        connection.fill(table, names, map(itemgetter(*names), rows))


@lru_cache(256)
def _insertion(table: str, names: tuple[str, ...], known: bool, anew: str) -> str:
    values = ", ".join(f":{column}" for column in names)
    changes = ", ".join(f"{column} = excluded.{column}" for column in names)
    rule = f"ON CONFLICT ({anew}) DO UPDATE SET {changes}" if anew else "ON CONFLICT DO NOTHING" if known else ""
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) {rule}"  # noqa: S608 - our names


def keep_card(connection: Connection, card: DataCard) -> None:
    """Record a data set if it is new, or correct its row if that was imported from elsewhere with wrong values.

    The source's name stays as first recorded, so that the same clips elsewhere do not rename earlier runs. Values that
    an older registry lacks, above all the manifests, are added; pseudonyms of an imported run make way for names.
    """
    row = serialization.of_card(card)
    known = connection.execute("SELECT * FROM data WHERE fingerprint = :fingerprint", row).fetchone()
    if known is None:
        insert(connection, "data", row, known=True)
    elif dict(known) != (row := row | _as_first_recorded(known)):
        changes = ", ".join(f"{column} = :{column}" for column in row)
        connection.execute(f"UPDATE data SET {changes} WHERE fingerprint = :fingerprint", row)  # noqa: S608 - our names
    there = {each["split"]: each for each in connection.execute(_SPLITS, row).fetchall()}
    for split in serialization.of_splits(card):
        known = there.get(split["split"])
        if known is None or any(known[column] != value for column, value in split.items()):
            insert(connection, "splits", split, anew="data_fingerprint, split")
    if card.manifests and _are_nameless([each["paths"] for each in connection.execute(_MANIFESTS, row).fetchall()]):
        for manifest in serialization.of_manifests(card):
            insert(connection, "manifests", manifest, anew="data_fingerprint, split")


def _are_nameless(manifests: list[bytes]) -> bool:
    """Whether there are none of these columns of paths, or all have pseudonyms, or they are damaged."""
    try:
        return all(pseudonyms.are(serialization.paths(each)) for each in manifests)
    except serialization.UNREADABLE:
        return True


def _as_first_recorded(known: serialization.Row) -> dict[str, Any]:
    """The columns of a known data set that keep their recorded values."""
    kept = {name: known[name] for name in _FIRST_KNOWN if known[name] is not None}
    return {"source": known["source"], **kept}


def keep_evaluation(connection: Connection, key: int, evaluation: Evaluation, card: DataCard) -> None:
    """Record a run's predictions on a split and enter them in the ledger; the first on its test split are its test."""
    values = serialization.of_evaluation(key, evaluation, card) | {"evaluated_at": now()}
    insert(connection, "evaluations", values, known=True)
    _enter_in_ledger(connection, key, evaluation.split, card, at=values["evaluated_at"])
    if evaluation.split == TEST and connection.execute(_TESTED, values).rowcount:
        connection.execute(_NOT_UNTESTED, {"run_key": key, "tag": UNTESTED})
    if evaluation.logits and connection.execute(_SAME_ANSWERS, values).fetchone():  # an older run may have none yet
        insert(connection, "logits", serialization.of_logits(key, evaluation, card), known=True)


def _enter_in_ledger(connection: Connection, key: int, split: str, card: DataCard, *, at: str) -> None:
    """Enter in the ledger that a run was evaluated on a split; the entry stays even if the run is purged."""
    row = connection.execute("SELECT * FROM trainings WHERE key = :key", {"key": key}).fetchone()
    look = {"run_id": row["id"], "tested_at": at, "recipe": row["cell_digest"]}
    for part in SPLITS if split == ALL else (split,):
        about = {"split_fingerprint": card.split_fingerprints[part], "split": part}
        insert(connection, "tests", look | about, known=True)
