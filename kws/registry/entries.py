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
from kws.registry import decoding, encoding, pseudonyms
from kws.registry.protocols import Connection, Row, Writing, among
from kws.registry.runs import UNTESTED

_SPLITS = "SELECT * FROM splits WHERE data_fingerprint = :fingerprint"
_MANIFESTS = "SELECT paths FROM manifests WHERE data_fingerprint = :fingerprint"
_SAME_ANSWERS = """
SELECT 1 FROM evaluations WHERE run_key = :run_key AND data_fingerprint = :data_fingerprint AND split = :split
AND predictions = :predictions
"""
_ITS_TEST = """
FROM evaluations WHERE run_key = key AND evaluations.data_fingerprint = trainings.data_fingerprint AND split = :split
"""
_TESTED = f"""
UPDATE trainings SET test_accuracy = (SELECT accuracy {_ITS_TEST}) {{where}} AND status = 'finished'
AND test_accuracy IS NULL AND EXISTS (SELECT 1 {_ITS_TEST}) RETURNING key
"""  # noqa: S608 - our names
_FIRST_KNOWN = ("unused", "content", "band_means")  # columns of a data set that keep their first recorded values


def now() -> str:
    """The current time in the registry's format: ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def insert(connection: Connection, table: str, row: Mapping[str, Any], *, known: bool = False, anew: str = "") -> bool:
    """Insert a row; returns whether it was. On conflict: `known` keeps the old row, `anew` (its key) updates it."""
    return connection.execute(_insertion(table, tuple(row), known, anew), row).rowcount == 1


def insert_run(connection: Writing, row: Mapping[str, Any]) -> int:
    """Insert a run; returns its key in this registry."""
    (key,) = insert_runs(connection, [row])
    return key


def insert_runs(connection: Writing, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert runs, whose rows have the same columns; returns their keys in this registry."""
    made = _insertion("trainings", tuple(rows[0]), False, "") if rows else ""
    return [int(row["key"]) for row in connection.returned(f"{made} RETURNING key", rows)]


def change_run(connection: Connection, key: int, **values: Any) -> None:
    """Change values of a run's row."""
    changes = ", ".join(f"{column} = :{column}" for column in values)
    connection.execute(f"UPDATE trainings SET {changes} WHERE key = :key", values | {"key": key})  # noqa: S608 - our names


def insert_known(connection: Writing, table: str, rows: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Insert rows of the same columns that may be there already; returns for each whether it was inserted."""
    return (
        [count == 1 for count in connection.counts(_insertion(table, tuple(rows[0]), True, ""), rows)] if rows else []
    )


def insert_each(connection: Writing, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert new rows of the same columns, few or large ones."""
    if rows:
        connection.executemany(_insertion(table, tuple(rows[0]), False, ""), rows)


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
    row = encoding.of_card(card)
    known = connection.execute("SELECT * FROM data WHERE fingerprint = :fingerprint", row).fetchone()
    if known is None:
        insert(connection, "data", row, known=True)
    elif dict(known) != (row := row | _as_first_recorded(known)):
        changes = ", ".join(f"{column} = :{column}" for column in row)
        connection.execute(f"UPDATE data SET {changes} WHERE fingerprint = :fingerprint", row)  # noqa: S608 - our names
    there = {each["split"]: each for each in connection.execute(_SPLITS, row).fetchall()}
    for split in encoding.of_splits(card):
        known = there.get(split["split"])
        if known is None or any(known[column] != value for column, value in split.items()):
            insert(connection, "splits", split, anew="data_fingerprint, split")
    if card.manifests and _are_nameless([each["paths"] for each in connection.execute(_MANIFESTS, row).fetchall()]):
        for manifest in encoding.of_manifests(card):
            insert(connection, "manifests", manifest, anew="data_fingerprint, split")


def _are_nameless(manifests: list[bytes]) -> bool:
    """Whether there are none of these columns of paths, or all have pseudonyms, or they are damaged."""
    try:
        return all(pseudonyms.are(decoding.paths(each)) for each in manifests)
    except decoding.UNREADABLE:
        return True


def _as_first_recorded(known: Row) -> dict[str, Any]:
    """The columns of a known data set that keep their recorded values."""
    kept = {name: known[name] for name in _FIRST_KNOWN if known[name] is not None}
    return {"source": known["source"], **kept}


def keep_evaluations(connection: Writing, made: Sequence[tuple[int, Evaluation, DataCard]], *, at: str) -> None:
    """Record predictions of runs, by key, on a split of the data with that card, and enter them in the ledger.

    `at` is when they were made. The first ones recorded stay; a run's first on its own test split are its test.
    """
    rows = [encoding.of_evaluation(*each) | {"evaluated_at": at} for each in made]
    new = insert_known(connection, "evaluations", rows)
    _enter_in_ledger(connection, made, at=at)
    for where, about in among("key", [row["run_key"] for row in rows if row["split"] == TEST]):
        tested = connection.execute(_TESTED.format(where=where), about | {"split": TEST}).fetchall()
        for of_runs, keys in among("run_key", [row["key"] for row in tested]):
            connection.execute(f"DELETE FROM tags {of_runs} AND tag = :tag", keys | {"tag": UNTESTED})  # noqa: S608
    with_logits = [
        encoding.of_logits(*each)
        for each, row, is_new in zip(made, rows, new, strict=True)
        if each[1].logits and (is_new or connection.execute(_SAME_ANSWERS, row).fetchone())  # an older one has none yet
    ]
    insert_known(connection, "logits", with_logits)


def _enter_in_ledger(connection: Writing, made: Sequence[tuple[int, Evaluation, DataCard]], *, at: str) -> None:
    """Enter in the ledger which run was evaluated on which split; the entry stays even if the run is purged."""
    runs: dict[int, dict[str, Any]] = {}
    for where, about in among("key", [*{key for key, _, _ in made}]):
        for row in connection.execute(f"SELECT key, id, cell_digest FROM trainings {where}", about):  # noqa: S608 - ours
            runs[row["key"]] = {"run_id": row["id"], "recipe": row["cell_digest"]}
    looks = [
        runs[key] | {"tested_at": at, "split_fingerprint": card.split_fingerprints[part], "split": part}
        for key, evaluation, card in made
        for part in (SPLITS if evaluation.split == ALL else (evaluation.split,))
    ]
    insert_known(connection, "tests", looks)
