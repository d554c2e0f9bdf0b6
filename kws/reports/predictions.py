"""Predictions of finished runs on their own test splits; each is read once, however many figures need it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kws.events import TEST, DataCard, Evaluation
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.reports.ahead import Bits, ReadAhead


class Predictions:
    """The predictions of a registry's runs, read on demand, but for what was read `ahead`."""

    def __init__(self, registry: RegistryReader, ahead: ReadAhead | None = None) -> None:
        self.registry, self._ahead = registry, ahead
        self._known: dict[str, tuple[DataCard, Evaluation] | None] = {}
        self._cards: dict[str, DataCard] = {}
        self._awaited: list[Sequence[Run]] = []
        self._awaited_on: dict[str, list[str]] = {}  # the same by their data

    def await_all(self, runs: Sequence[Run]) -> None:
        """Say that all of these runs may be asked for: where one is, those on the same data are read with it."""
        self._awaited.append(runs)

    def of(self, run: Run) -> tuple[DataCard, Evaluation] | None:
        """A run's evaluation on the test split of its own data, with that data's card; None if there is none."""
        if run.id not in self._known:
            for each in itertools.chain.from_iterable(self._awaited):
                self._awaited_on.setdefault(each.data_fingerprint, []).append(each.id)
            self._awaited.clear()
            card = self.card(run.data_fingerprint)
            wanted = {run.id, *self._awaited_on.pop(run.data_fingerprint, ())} - self._known.keys()
            found = self.registry.answers(sorted(wanted), card, TEST)
            self._known |= {each: (card, answers) if answers else None for each, answers in found.items()}
        return self._known[run.id]

    def card(self, fingerprint: str) -> DataCard:
        """The card of a data set, which many runs share. Raises RegistryError if the registry does not have it."""
        if fingerprint not in self._cards:
            self._cards[fingerprint] = self.registry.card(fingerprint)
        return self._cards[fingerprint]

    def right(self, run: Run) -> NDArray[np.float64] | None:
        """1 for each clip (N,) of the test split that a run predicted correctly, else 0."""
        import numpy as np

        if (found := self.of(run)) is None:
            return None
        labels, predictions = (np.frombuffer(each, np.uint8) for each in (found[1].labels, found[1].predictions))
        return (labels == predictions).astype(np.float64) if len(labels) == len(predictions) else None

    def all_right(self, runs: Sequence[Run]) -> Bits | None:
        """Which clips of one test split each of n runs predicted correctly: bits as of kws.reports.ahead.bits_of().

        None if one of the runs has no answers.
        """
        import numpy as np

        from kws.reports.ahead import right_of

        labels = self.card(runs[0].data_fingerprint).labels_of(TEST)
        right = np.empty((len(runs), -(-len(labels) // 8)), dtype=np.uint8)
        by_data: dict[str, dict[str, int]] = {}
        for row, run in enumerate(runs):
            by_data.setdefault(run.data_fingerprint, {})[run.id] = row
        for fingerprint, rows in by_data.items():
            if self._ahead and (known := self._ahead.right(fingerprint)):
                there, bits = known
                places = np.array([there.get(run_id, -1) for run_id in rows])
                ready, own = places >= 0, np.array([*rows.values()])
                right[own[ready]] = bits[places[ready]]
                rows = {run_id: row for run_id, row in rows.items() if run_id not in there}
            for some, found in right_of(self.registry, [*rows], self.card(fingerprint), labels):
                if found is None:
                    return None
                right[[rows[run_id] for run_id in some]] = found
        return right

    def losses(self, run: Run) -> NDArray[np.float64] | None:
        """The cross-entropy (N,) of each clip of the test split, in nats; None if a run's logits were not kept."""
        import numpy as np

        if (found := self.of(run)) is None:
            return None
        blob = self.registry.logits(run.id, run.data_fingerprint, TEST)
        if not blob:
            return None
        labels = np.frombuffer(found[1].labels, np.uint8)
        logits = np.frombuffer(blob, "<f2").astype(np.float64).reshape(len(labels), -1)
        losses: NDArray[np.float64] = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
        return losses
