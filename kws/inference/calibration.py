"""Calibration: a temperature that makes probabilities honest, and each keyword's threshold; both from validation clips.

Temperature scaling is that of Guo et al., ICML 2017 (arXiv:1706.04599): logits are divided by one number, which changes
no decision and is chosen by the mean negative log-likelihood. The likelihood is that of Platt's smoothed targets
(Advances in Large Margin Classifiers, 1999): with N clips of K classes, each class has one clip more than was seen, so
that clips that are all told right do not say that the network is never wrong. NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kws.events import keywords_of
from kws.inference.card import MISS_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kws.events import Evaluation

    Floats = NDArray[np.float64]

_OTHERS = 0.99  # quantile of what is no keyword, for thresholds of few clips
_LEAST = 1e-9
_RANGE = 0.05, 20.0  # where a temperature is looked for
_STEPS = 60  # of golden-section search: the range shrinks by 0.6 in each


@dataclass(frozen=True)
class Calibration:
    """How a run's outputs become probabilities, and from which on a keyword is heard."""

    temperature: float
    thresholds: Mapping[str, float]

    @classmethod
    def of(cls, validation: Evaluation, classes: Sequence[str], miss_rate: float = MISS_RATE) -> Calibration:
        """That of a run whose answers on the validation split these are; they must have their logits."""
        logits, labels = logits_of(validation, classes), np.frombuffer(validation.labels, np.uint8).astype(np.int64)
        chosen = temperature(logits, labels)
        heard = softmax(logits, chosen)
        return cls(chosen, thresholds(heard, labels, classes, keywords_of(classes), miss_rate))


def logits_of(evaluation: Evaluation, classes: Sequence[str]) -> Floats:
    """The logits (N, K) of an evaluation that has them."""
    return np.frombuffer(evaluation.logits, "<f2").astype(np.float64).reshape(-1, len(classes))


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities (N, K) of logits (N, K)."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature at which the labels (N,) are likeliest, between 0.05 and 20."""
    targets = smoothed(labels, np.shape(logits)[1])

    def surprise(logarithm: float) -> float:
        probabilities = softmax(logits, float(np.exp(logarithm)))
        return float(-(targets * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1).mean())

    low, high = (float(np.log(end)) for end in _RANGE)
    share = (np.sqrt(5) - 1) / 2
    for _ in range(_STEPS):
        left, right = high - share * (high - low), low + share * (high - low)
        if surprise(left) <= surprise(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def smoothed(labels: NDArray[np.int64], classes: int) -> Floats:
    """Platt's targets (N, K): (N + 1) / (N + K) for the right class, 1 / (N + K) for each other."""
    clips = len(labels)
    return (np.eye(classes)[labels] * clips + 1) / (clips + classes)


def thresholds(
    probabilities: Floats,
    labels: NDArray[np.int64],
    words: Sequence[str],
    keywords: Sequence[str],
    miss_rate: float = MISS_RATE,
) -> dict[str, float]:
    """For each keyword, the highest threshold that misses at most `miss_rate` of its clips.

    Of a keyword with so few clips that none may be missed, the least probable one says little of where others will be:
    its threshold is halfway, in log-odds, from that clip to the most probable hundredth of all other clips, if these
    are below it. A clip is heard where its keyword's probability is at the threshold or above. Keywords without clips
    have none.
    """
    found = {}
    for keyword in keywords:
        column = probabilities[:, words.index(keyword)]
        is_own = labels == words.index(keyword)
        own, others = np.sort(column[is_own]), column[~is_own]
        if not len(own):
            continue
        may_be_missed = int(miss_rate * len(own) + 1e-9)
        found[keyword] = float(own[may_be_missed])
        if miss_rate and not may_be_missed and len(others):
            found[keyword] = _halfway(found[keyword], float(np.quantile(others, _OTHERS, method="higher")))
    return found


def _halfway(lowest: float, others: float) -> float:
    """The probability halfway between two in log-odds; the first one where that is not the higher."""
    if others >= lowest:
        return lowest
    low, high = (np.log(p) - np.log1p(-p) for p in np.clip([others, lowest], _LEAST, 1 - _LEAST))
    return float(1 / (1 + np.exp(-(low + high) / 2)))
