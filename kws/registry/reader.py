"""RegistryReader: what the registry answers. Each method is one short transaction; nothing is held between.

Its queries are plain SQL, so that reading needs neither SQLModel nor its tables.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Self

from kws.data_card import DataCard
from kws.errors import RegistryError, UnknownRunError
from kws.events import Evaluation
from kws.registry import rows
from kws.registry.connection import Database
from kws.registry.runs import Epoch, Run

_RUNS = "SELECT runs.*, data.source FROM runs JOIN data ON data.fingerprint = data_fingerprint ORDER BY key"
_KEY = "SELECT key FROM runs WHERE id = :id"
_EPOCHS = "SELECT * FROM epochs WHERE run_key = :key ORDER BY epoch"
_EVALUATIONS = "SELECT * FROM evaluations WHERE run_key = :key ORDER BY evaluated_at, split"
_WEIGHTS = "SELECT sha256, safetensors FROM weights WHERE run_key = :key"
_DATA = "SELECT * FROM data WHERE fingerprint = :fingerprint"
_SPLITS = "SELECT * FROM splits WHERE data_fingerprint = :fingerprint"


class RegistryReader:
    """A registry file, opened. Raises RegistryError where it cannot be used; see kws.registry.connection."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._database = Database(path, create=create)
        self._keys: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        with self._read() as connection:
            return [rows.run(row) for row in connection.execute(_RUNS)]

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
            found = connection.execute(_EPOCHS, {"key": self._key(connection, run_id)})
            return [rows.epoch(row) for row in found]

    def evaluations(self, run_id: str) -> list[tuple[DataCard, Evaluation]]:
        """A run's evaluations, each with the card of the data it was on."""
        with self._read() as connection:
            found = connection.execute(_EVALUATIONS, {"key": self._key(connection, run_id)}).fetchall()
            cards = {row["data_fingerprint"]: _card(connection, row["data_fingerprint"]) for row in found}
            return [
                (cards[row["data_fingerprint"]], rows.evaluation(row, cards[row["data_fingerprint"]])) for row in found
            ]

    def card(self, fingerprint: str) -> DataCard:
        """The card of a data set that runs were made on."""
        with self._read() as connection:
            return _card(connection, fingerprint)

    def weights(self, run_id: str) -> bytes:
        """A run's weights as a safetensors file; raises RegistryError where it has none or they were changed."""
        with self._read() as connection:
            row = connection.execute(_WEIGHTS, {"key": self._key(connection, run_id)}).fetchone()
        if row is None:
            raise RegistryError(f"run {run_id} has no weights in {self.path}: it did not finish, or they were left out")
        if hashlib.sha256(row["safetensors"]).hexdigest() != row["sha256"]:
            raise RegistryError(f"the weights of run {run_id} in {self.path} are damaged: their SHA-256 does not match")
        return row["safetensors"]

    def _key(self, connection: Connection, run_id: str) -> int:
        """The integer that a run's epochs hang on."""
        if run_id not in self._keys:
            row = connection.execute(_KEY, {"id": run_id}).fetchone()
            if row is None:
                raise UnknownRunError(f"there is no run {run_id!r} in {self.path}")
            self._keys[run_id] = row["key"]
        return self._keys[run_id]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._database.reading() as connection:
                yield connection
        except zlib.error as error:
            raise RegistryError(
                f"{self.path} is damaged: labels or predictions in it cannot be read ({error})"
            ) from None


def _card(connection: Connection, fingerprint: str) -> DataCard:
    data = connection.execute(_DATA, {"fingerprint": fingerprint}).fetchone()
    if data is None:
        raise RegistryError(f"there is no data set with the fingerprint {fingerprint}")
    return rows.card(data, connection.execute(_SPLITS, {"fingerprint": fingerprint}).fetchall())
