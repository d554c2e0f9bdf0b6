"""Confusion matrices on runs' own test splits: of one run, and of all runs of a cell together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kws.events import TEST, DataCard
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.ahead import parts
from kws.reports.classes import ClassReport


def confusion(registry: RegistryReader, run: Run) -> dict[str, Any] | None:
    """A run's confusion matrix on its own test split, one row per true class; None before it was tested."""
    evaluation = registry.evaluation(run.id, run.data_fingerprint, TEST)
    if evaluation is None:
        return None
    card = registry.card(run.data_fingerprint)
    return matrix(card, ClassReport.of(evaluation, card.classes))


def pooled(registry: RegistryReader, runs: Sequence[Run]) -> dict[str, Any] | None:
    """The confusion matrix of several runs together, on their own test splits, and of how many; None without any."""
    import numpy as np

    by_data: dict[str, list[str]] = {}
    for run in runs:
        by_data.setdefault(run.data_fingerprint, []).append(run.id)
    classes: tuple[str, ...] = ()
    total, count = np.zeros((0, 0), dtype=np.int64), 0
    for fingerprint, ids in by_data.items():
        card = registry.card(fingerprint)
        k, labels = len(card.classes), np.frombuffer(card.labels_of(TEST), np.uint8).astype(np.intp)
        if not classes:
            classes, total = card.classes, np.zeros((k, k), dtype=np.int64)
        for some in parts(ids):
            for answers in registry.predictions(some, card, TEST).values():
                places = labels * k + np.frombuffer(answers, np.uint8)
                total += np.bincount(places, minlength=k * k).reshape(k, k)
                count += 1
    return {"classes": list(classes), "counts": total.tolist(), "runs": count} if count else None


def matrix(card: DataCard, report: ClassReport) -> dict[str, Any]:
    """The confusion matrix of one evaluation."""
    return {"classes": list(card.classes), "counts": [list(row) for row in report.confusion]}
