"""What runs reached and what that took: of one epoch by epoch, and of many at once, in a few queries."""

from __future__ import annotations

import itertools
import json
from abc import abstractmethod
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager

from kws.registry import decoding
from kws.registry.decoding import typed
from kws.registry.protocols import Connection, Reading, among
from kws.registry.runs import Curve, Run

_ACCURACIES_OF = """
SELECT id, epochs.validation_accuracy FROM trainings JOIN epochs ON run_key = key {where} ORDER BY run_key, epoch
"""
_CURVE = "SELECT validation_accuracy, milliseconds, processor_seconds FROM epochs WHERE run_key = :key ORDER BY epoch"
_LATER = """
SELECT id, sessions.environment FROM trainings JOIN sessions ON run_key = key {where}
AND sessions.environment IS NOT NULL ORDER BY run_key, session
"""
# What is no number is greater than every number, as SQLite orders them.
_PROCESSOR_SECONDS = """
SELECT id, sum(processor_seconds), max(processor_seconds), count(*) - count(processor_seconds)
FROM trainings JOIN epochs ON run_key = key {where} GROUP BY id
"""


class TimeReader:
    """The queries about times, for kws.registry.reader. Raises RegistryError if something is damaged."""

    @abstractmethod
    def key(self, connection: Connection, run_id: str) -> int:
        """A run's integer key. Raises UnknownRunError if there is no such run."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reading]:
        """A connection whose reads all see one snapshot of the registry."""

    @abstractmethod
    def naming(self, run_id: str) -> AbstractContextManager[None]:
        """Raises RegistryError that names the run if its row cannot be read."""

    def accuracies_of(self, run_ids: Sequence[str]) -> dict[str, array[float]]:
        """The validation accuracies of many runs, by id, but for runs without any; an array is a fifth of a list."""
        found: dict[str, array[float]] = {}
        with self.reading() as connection:
            for where, about in among("id", run_ids):
                for run_id, accuracy in connection.execute(_ACCURACIES_OF.format(where=where), about):
                    found.setdefault(run_id, array("d")).append(accuracy)
        return found

    def curve(self, run_id: str) -> Curve:
        """A run's validation accuracies with the training and processor seconds until then."""
        with self.reading() as connection:
            rows = connection.execute(_CURVE, {"key": self.key(connection, run_id)}).fetchall()
        with self.naming(run_id):
            processor = [row["processor_seconds"] for row in rows]
            made = typed(
                Curve(
                    validation_accuracies=tuple(float(row["validation_accuracy"]) for row in rows),
                    seconds=tuple(each / 1000 for each in itertools.accumulate(row["milliseconds"] for row in rows)),
                    processor_seconds=None if None in processor else tuple(itertools.accumulate(map(float, processor))),
                )
            )
            for times in (made.seconds, made.processor_seconds):
                decoding.require_finite(times[-1] if times else 0.0)
            return made

    def processor_seconds(self, run_ids: Sequence[str]) -> dict[str, float | None]:
        """The processor seconds of many runs, by id; None of one with an epoch that does not know them.

        Runs without epochs are left out.
        """
        found: dict[str, float | None] = {}
        with self.reading() as connection:
            for where, about in among("id", run_ids):
                for run_id, total, most, unknown in connection.execute(_PROCESSOR_SECONDS.format(where=where), about):
                    with self.naming(run_id):
                        for seconds in (most, total):
                            decoding.require_finite(0.0 if seconds is None else seconds)
                    found[run_id] = None if unknown else float(total)
        return found

    def processors(self, runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
        """The processors that each of many runs was trained on, that of its first session first, by id."""
        found = {run.id: {run.environment.cpu: None} for run in runs}
        with self.reading() as connection:
            for where, about in among("id", [*found]):
                for run_id, environment in connection.execute(_LATER.format(where=where), about):
                    with self.naming(run_id):
                        found[run_id][str(json.loads(environment)["cpu"])] = None
        return {run_id: tuple(each) for run_id, each in found.items()}
