"""Confusion matrix, and precision, recall and F1 of each class, from a run's predictions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from kws.events import Evaluation
from kws.reports.statistics import Interval, over_clips, resampled_f1


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class's scores as fractions; None if the denominator is zero (never predicted), or if it has no clips.

    A class without clips cannot be told rightly: its precision and F1 would be zero, whatever the network.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    clips: int


@dataclass(frozen=True, kw_only=True)
class ClassIntervals:
    """The 95 % intervals of one class's scores over the clips; None if there is no score."""

    precision: Interval | None
    recall: Interval | None
    f1: Interval | None


@dataclass(frozen=True, kw_only=True)
class ClassReport:
    """A confusion matrix and its scores; `confusion[i][j]` counts the clips of class i predicted as class j."""

    confusion: tuple[tuple[int, ...], ...]
    scores: tuple[ClassScore, ...]

    @classmethod
    def of(cls, evaluation: Evaluation, classes: tuple[str, ...]) -> ClassReport:
        """The report on an evaluation whose labels and predictions are indices into `classes`."""
        counts = Counter(zip(evaluation.labels, evaluation.predictions, strict=True))
        k = range(len(classes))
        confusion = tuple(tuple(counts[true, predicted] for predicted in k) for true in k)
        scores = []
        for i, name in enumerate(classes):
            hits, clips, predicted = confusion[i][i], sum(confusion[i]), sum(row[i] for row in confusion)
            scores.append(
                ClassScore(
                    name=name,
                    precision=_share(hits, predicted) if clips else None,
                    recall=_share(hits, clips),
                    f1=_share(2 * hits, clips + predicted) if clips else None,
                    clips=clips,
                )
            )
        return cls(confusion=confusion, scores=tuple(scores))

    def intervals(self) -> tuple[ClassIntervals, ...]:
        """Wilson's interval of each precision and recall, and the interval of each F1 over resamples of the clips."""
        made = []
        for i, (score, f1) in enumerate(zip(self.scores, resampled_f1(self.confusion), strict=True)):
            predicted = sum(row[i] for row in self.confusion)
            made.append(
                ClassIntervals(
                    precision=None if score.precision is None else over_clips(self.confusion[i][i], predicted),
                    recall=over_clips(self.confusion[i][i], score.clips) if score.clips else None,
                    f1=f1 if score.f1 is not None else None,
                )
            )
        return tuple(made)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
