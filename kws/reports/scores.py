"""A network's confidence: ROC and DET of each class, calibration, the most confident errors. Imports numpy.

Decisions:
- A class is detected by its log-odds, the logit minus the log-sum-exp of the others. It orders clips as the softmax's
  probability does, and still distinguishes clips whose probability rounds to 1.
- A clip is accepted if its score is at least the threshold. If misses and false accepts are never equal, the equal
  error rate is taken on the straight line between the two neighbouring thresholds.
- Calibration is that of the predicted class: ten bins of equal width over its probability, the expected calibration
  error (Guo et al., ICML 2017), and Brier's score over all classes (Monthly Weather Review 78, 1950).
- A prediction is the class that the registry has as predicted. Logits are kept as float16, in which the two largest may
  be equal although they were not before. So the largest logit does not always identify the predicted class.
- Intervals are over resamples of the clips; see kws.reports.statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kws.events import Evaluation
from kws.inference.calibration import logits_of, softmax
from kws.reports.statistics import RESAMPLES, Interval, over_clips, percentiles

Floats = NDArray[np.float64]
BINS = 10
_AT_ONCE = 4_000_000  # numbers in a block of resamples


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One class against all others, from none accepted (threshold at infinity) to all: at the P corners of its curve.

    Rates are fractions: `miss_rates` of the class's own clips, `false_accept_rates` of the others. `area` is the area
    under the ROC curve. Rates and area are nan if the class, or the rest, has no clips.
    """

    name: str
    thresholds: Floats  # (P,), in nats, falling
    false_accept_rates: Floats  # (P,), rising
    miss_rates: Floats  # (P,), falling
    equal_error_rate: float
    area: float
    equal_error_interval: Interval | None
    area_interval: Interval | None

    def miss_rate_at(self, false_accept_rate: float) -> float:
        """The lowest miss rate at which at most that share of the other clips is accepted; nan as the rates are."""
        if math.isnan(self.area):
            return math.nan
        return float(self.miss_rates[self.false_accept_rates <= false_accept_rate].min(initial=1.0))


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Predictions whose probability lies in a bin: their number, mean probability, and the share that is right."""

    low: float
    high: float
    clips: int
    probability: float
    right: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How well probabilities match accuracy; bins without predictions are left out."""

    bins: tuple[Bin, ...]
    expected_error: float
    expected_error_interval: Interval | None
    brier: float
    brier_interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A clip that was predicted as another class, with the probability that the network gave it."""

    clip: int  # its index in the split
    label: int
    prediction: int
    probability: float


@dataclass(frozen=True)
class Scores:
    """A network's logits (N, K) and predictions (N,) on clips with labels (N,), both indices into `classes`."""

    classes: tuple[str, ...]
    logits: Floats
    answers: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @classmethod
    def of(cls, evaluation: Evaluation, classes: tuple[str, ...]) -> Scores:
        """The scores of an evaluation that has its logits."""
        answers, labels = (np.frombuffer(each, np.uint8) for each in (evaluation.predictions, evaluation.labels))
        return cls(classes, logits_of(evaluation, classes), answers, labels)

    @cached_property
    def probabilities(self) -> Floats:
        """The softmax of the logits (N, K)."""
        return softmax(self.logits)

    @property
    def _probability(self) -> Floats:
        """The probability of each prediction (N,)."""
        return self.probabilities[np.arange(len(self.answers)), self.answers]

    def detection(self, k: int, *, resampled: bool = True) -> Detection:
        """The detection of class k against all others; without intervals, which take most of the time, on request."""
        score = self.logits[:, k] - np.logaddexp.reduce(np.delete(self.logits, k, axis=1), axis=1)
        order = np.argsort(-score, kind="stable")
        thresholds = score[order]
        ends = np.flatnonzero(np.append(np.diff(thresholds) != 0, True))  # equal scores are accepted together
        own = self.labels[order] == k

        def rates(weights: Floats) -> tuple[Floats, Floats]:
            """False accepts and misses (R, P) of resamples (R, N), which state how often each clip counts."""
            counted = weights[:, order]
            with np.errstate(invalid="ignore", divide="ignore"):
                accepted, falsely = (
                    np.cumsum(counted * which, axis=1)[:, ends] / (counted * which).sum(axis=1, keepdims=True)
                    for which in (own, ~own)
                )
            none = np.zeros((len(weights), 1))
            return np.hstack([none, falsely]), np.hstack([none + 1, 1 - accepted])

        false_accepts, misses = rates(np.ones((1, len(order))))
        turns = np.diff(false_accepts[0], 2), np.diff(misses[0], 2)
        corners = np.concatenate([[True], (np.abs(turns) > 1e-12).any(axis=0), [True]])
        weights = _resamples(len(order), kept=3 * len(ends) + 1) if resampled else iter(())
        found = [(_equal_error(*of), _area(*of)) for of in map(rates, weights)] or [(np.empty(0), np.empty(0))]
        equal_errors, areas = (np.concatenate(each) for each in zip(*found, strict=True))
        return Detection(
            name=self.classes[k],
            thresholds=np.append(np.inf, thresholds[ends])[corners],
            false_accept_rates=false_accepts[0][corners],
            miss_rates=misses[0][corners],
            equal_error_rate=float(_equal_error(false_accepts, misses)[0]),
            area=float(_area(false_accepts, misses)[0]),
            equal_error_interval=percentiles(equal_errors),
            area_interval=percentiles(areas),
        )

    def calibration(self) -> Calibration:
        """How well the probabilities of the predictions match their accuracy."""
        probability = self._probability
        right = (self.answers == self.labels).astype(float)
        place = np.minimum((probability * BINS).astype(int), BINS - 1)
        distances = ((self.probabilities - np.eye(len(self.classes))[self.labels]) ** 2).sum(axis=1)
        member = np.equal.outer(place, np.arange(BINS)).astype(float)  # (N, BINS)

        def figures(weights: Floats) -> Floats:
            """Expected calibration error and Brier's score (R, 2) of resamples (R, N)."""
            gaps = np.abs((weights * (right - probability)) @ member).sum(axis=1)
            return np.stack([gaps, weights @ distances], axis=1) / weights.sum(axis=1, keepdims=True)

        (expected, brier), resampled = _with_resamples(figures, len(right))
        return Calibration(
            bins=tuple(
                Bin(
                    low=b / BINS,
                    high=(b + 1) / BINS,
                    clips=int(inside.sum()),
                    probability=float(probability[inside].mean()),
                    right=float(right[inside].mean()),
                    interval=over_clips(int(right[inside].sum()), int(inside.sum())),
                )
                for b in range(BINS)
                if (inside := place == b).any()
            ),
            expected_error=float(expected),
            expected_error_interval=percentiles(resampled[:, 0]),
            brier=float(brier),
            brier_interval=percentiles(resampled[:, 1]),
        )

    def most_confident_errors(self, most: int) -> list[Wrong]:
        """The clips predicted as another class with the greatest probability, most confident first; at most `most`."""
        probability = self._probability
        wrong = np.flatnonzero(self.answers != self.labels)
        surest = wrong[np.argsort(-probability[wrong], kind="stable")][:most]
        return [
            Wrong(
                clip=int(clip),
                label=int(self.labels[clip]),
                prediction=int(self.answers[clip]),
                probability=float(probability[clip]),
            )
            for clip in surest
        ]


def _equal_error(false_accepts: Floats, misses: Floats) -> Floats:
    """The rate at which misses and false accepts (R, P) are equal, (R,); nan if either has no clips."""
    gap = misses - false_accepts  # falls from 1 to -1
    after = np.argmax(gap <= 0, axis=1)
    rows = np.arange(len(gap))
    above, below = gap[rows, after - 1], gap[rows, after]
    share = above / (above - below)
    before = misses[rows, after - 1]
    return before + share * (misses[rows, after] - before)


def _area(false_accepts: Floats, misses: Floats) -> Floats:
    steps, hits = np.diff(false_accepts, axis=1), 1 - misses
    return (steps * (hits[:, 1:] + hits[:, :-1])).sum(axis=1) / 2


def _resamples(clips: int, *, kept: int) -> Iterator[Floats]:
    """How often each clip is drawn in each resample (R, N), in blocks; `kept` numbers are kept of each resample."""
    draw = np.random.default_rng(0)
    block = max(1, _AT_ONCE // max(clips, kept))
    for start in range(0, RESAMPLES, block):
        drawn = draw.integers(clips, size=(min(block, RESAMPLES - start), clips))
        yield np.stack([np.bincount(row, minlength=clips) for row in drawn]).astype(float)


def _with_resamples(figures: Callable[[Floats], Floats], clips: int) -> tuple[Floats, Floats]:
    """The figures of the original clips (F,), and of every resample (R, F)."""
    return figures(np.ones((1, clips)))[0], np.concatenate([figures(w) for w in _resamples(clips, kept=clips)])
