"""EvaluationReader: the evaluations of runs, the cards of the data that they are on, and the ledger of evaluations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from kws.errors import RegistryError, UnknownRunError
from kws.events import TEST, DataCard, Evaluation
from kws.registry import decoding
from kws.registry.location import Location
from kws.registry.manifests import ManifestReader
from kws.registry.protocols import Connection, Cursor, among, rows_of
from kws.registry.runs import Run

_EVALUATIONS = "SELECT * FROM evaluations WHERE run_key = :key ORDER BY evaluated_at, split"
_EVALUATION = "SELECT * FROM evaluations WHERE run_key = :key AND data_fingerprint = :fingerprint AND split = :split"
_ANSWERS = """
SELECT trainings.id, run_key, split, loss, objective, accuracy, predictions FROM trainings LEFT JOIN evaluations
ON run_key = key AND evaluations.data_fingerprint = :fingerprint AND split = :split
"""
_PREDICTIONS = """
SELECT trainings.id, predictions FROM trainings JOIN evaluations
ON run_key = key AND evaluations.data_fingerprint = :fingerprint AND split = :split
"""
_FINISHED = "status = 'finished' AND deleted_at IS NULL"
_DATA_OF_FINISHED = f"SELECT DISTINCT data_fingerprint FROM trainings WHERE {_FINISHED}"  # noqa: S608 - our names
_ALL_PREDICTIONS = f"{_PREDICTIONS} WHERE trainings.data_fingerprint = :fingerprint AND {_FINISHED}"
_JUDGED = """
SELECT recipe, recipe_json FROM (
    SELECT recipe, max(key) AS last FROM tests LEFT JOIN trainings ON id = run_id
    WHERE split_fingerprint = :fingerprint GROUP BY recipe
) AS judged LEFT JOIN trainings ON key = last
"""
_LOOKED_AT = """
SELECT 1 FROM tests JOIN splits ON splits.fingerprint = split_fingerprint
WHERE run_id = :run AND data_fingerprint = :fingerprint AND splits.split = :split
"""
_LOGITS = "SELECT split, logits FROM logits WHERE run_key = :key AND data_fingerprint = :fingerprint AND split = :split"
_DATA = "SELECT * FROM data WHERE fingerprint = :fingerprint"
_SPLITS = "SELECT * FROM splits WHERE data_fingerprint = :fingerprint"


class EvaluationReader(ManifestReader):
    """The queries about evaluations, for kws.registry.reader. Raises RegistryError if one is damaged."""

    path: Location

    @abstractmethod
    def key(self, connection: Connection, run_id: str) -> int:
        """A run's integer key. Raises UnknownRunError if there is no such run."""

    def evaluations(self, run_id: str) -> list[tuple[DataCard, Evaluation]]:
        """A run's evaluations, each with the card of its data set."""
        with self.reading() as connection:
            found = connection.execute(_EVALUATIONS, {"key": self.key(connection, run_id)}).fetchall()
            cards = {row["data_fingerprint"]: _card(connection, row["data_fingerprint"]) for row in found}
            return [
                (cards[row["data_fingerprint"]], decoding.evaluation(row, cards[row["data_fingerprint"]]))
                for row in found
            ]

    def evaluation(self, run_id: str, fingerprint: str, split: str) -> Evaluation | None:
        """A run's evaluation on one split of a data set, with its logits if they were kept; None if there is none."""
        with self.reading() as connection:
            about = {"key": self.key(connection, run_id), "fingerprint": fingerprint, "split": split}
            row = connection.execute(_EVALUATION, about).fetchone()
            if row is None:
                return None
            found = decoding.evaluation(row, _card(connection, fingerprint))
            return replace(found, logits=self.logits(run_id, fingerprint, split) or b"")

    def answers(self, run_ids: Sequence[str], card: DataCard, split: str) -> dict[str, Evaluation | None]:
        """Runs' evaluations on one split of the data set with that card, without logits; None where there is none."""
        found: dict[str, Evaluation | None] = {}
        with self.reading() as connection:
            for cursor in _of_runs(connection, _ANSWERS, run_ids, card, split):
                for row in rows_of(cursor):
                    is_there = row["run_key"] is not None
                    found[row["id"]] = decoding.evaluation(row, card) if is_there else None
        for run_id in run_ids:
            if run_id not in found:
                raise UnknownRunError(f"there is no run {run_id!r} in {self.path}")
        return found

    def most_runs(self) -> int:
        """How many runs there may be, told at once; purged ones count."""
        with self.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(key), 0) FROM trainings").fetchone()[0])

    def data_of_finished(self) -> list[str]:
        """The fingerprints of the data sets of the finished runs that are not deleted."""
        with self.reading() as connection:
            return [str(row[0]) for row in connection.execute(_DATA_OF_FINISHED)]

    def all_predictions(self, card: DataCard, split: str) -> Iterator[tuple[str, bytes]]:
        """The predictions() of all finished runs on their own data set, which has that card, with their ids."""
        read = decoding.answers_reader(card, split)
        with self.reading() as connection:
            about = {"fingerprint": card.fingerprint, "split": split}
            with closing(connection.stream(_ALL_PREDICTIONS, about)) as rows:
                for run_id, compressed in rows:
                    yield run_id, read(compressed)

    def predictions(self, run_ids: Sequence[str], card: DataCard, split: str) -> dict[str, bytes]:
        """Runs' predictions on one split of the data set with that card, a byte a clip; some may have none."""
        found, read = {}, decoding.answers_reader(card, split)
        with self.reading() as connection:
            for cursor in _of_runs(connection, _PREDICTIONS, run_ids, card, split):
                for run_id, compressed in cursor:
                    found[run_id] = read(compressed)
        return found

    def evaluated_at(self, run_id: str, fingerprint: str, split: str) -> str:
        """When a run's evaluation on one split of a data set was recorded."""
        with self.reading() as connection:
            about = {"key": self.key(connection, run_id), "fingerprint": fingerprint, "split": split}
            return str(connection.execute(_EVALUATION, about).fetchone()["evaluated_at"])

    def was_tested(self, run: Run) -> bool:
        """Whether the ledger records an evaluation of this run on its own test split."""
        with self.reading() as connection:
            about = {"run": run.id, "fingerprint": run.data_fingerprint, "split": TEST}
            return connection.execute(_LOOKED_AT, about).fetchone() is not None

    def recipes_judged(self, split_fingerprint: str, *, apart: Collection[str] = ()) -> int:
        """How many recipes have been evaluated on a split so far, but for those whose cells are `apart`.

        Runs that differ only in their seed, or in what decides bits alone, share one recipe, and so do the folds of
        cross-validation: the clips that one of them tests are the validation split of another. Purged runs count, too,
        their folds apart, since nothing is known of them but a digest.
        """
        with self.reading() as connection:
            judged = connection.execute(_JUDGED, {"fingerprint": split_fingerprint}).fetchall()
        folds = {row["recipe"]: cell for row in judged if (cell := decoding.cell_of_folds(row["recipe_json"]))}
        return len({folds.get(row["recipe"], row["recipe"]) for row in judged if row["recipe"] not in apart})

    def logits(self, run_id: str, fingerprint: str, split: str) -> bytes | None:
        """A run's logits on a split of a data set, little-endian float16 (N, K); None if they were not kept."""
        with self.reading() as connection:
            about = {"key": self.key(connection, run_id), "fingerprint": fingerprint, "split": split}
            row = connection.execute(_LOGITS, about).fetchone()
            return decoding.logits(row, _card(connection, fingerprint)) if row else None

    def card(self, fingerprint: str) -> DataCard:
        """The card of a data set. Raises RegistryError if the registry does not have it."""
        with self.reading() as connection:
            return _card(connection, fingerprint)


def _of_runs(
    connection: Connection, query: str, run_ids: Sequence[str], card: DataCard, split: str
) -> Iterator[Cursor]:
    """A query about runs on one split of a data set, to which the condition on their ids is added, some at a time."""
    for where, ids in among("trainings.id", run_ids):
        yield connection.execute(f"{query} {where}", {**ids, "fingerprint": card.fingerprint, "split": split})


def _card(connection: Connection, fingerprint: str) -> DataCard:
    data = connection.execute(_DATA, {"fingerprint": fingerprint}).fetchone()
    if data is None:
        raise RegistryError(f"there is no data set with the fingerprint {fingerprint}")
    return decoding.card(data, connection.execute(_SPLITS, {"fingerprint": fingerprint}).fetchall())
