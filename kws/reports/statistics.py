"""Intervals over the clips of one evaluation: of shares, and of figures that are not means over clips.

Decisions:
- A share of the clips has Wilson's interval (JASA 22, 1927).
- A figure that is neither a mean nor a share (F1, equal error rates, calibration) has the middle 95 % of what 1,000
  resamples of the clips give (Efron, Annals of Statistics 7, 1979). The resamples are the same each time.
Statements about recipes, over seeds and speakers, are in kws.reports.estimates.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CONFIDENCE = 0.95
RESAMPLES = 1_000
_NORMAL_QUANTILE = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Interval:
    """The two ends of a 95 % confidence interval, and what it is over: "clips"."""

    low: float
    high: float
    over: str


def over_clips(right: int, clips: int) -> Interval:
    """Wilson's interval of a proportion; from 0 to 1 if there are no clips."""
    if not clips:
        return Interval(0.0, 1.0, "clips")
    z2 = _NORMAL_QUANTILE**2
    share = right / clips
    centre = (share + z2 / (2 * clips)) / (1 + z2 / clips)
    half = _NORMAL_QUANTILE / (1 + z2 / clips) * math.sqrt(share * (1 - share) / clips + z2 / (4 * clips**2))
    return Interval(centre - half if right else 0.0, centre + half if right < clips else 1.0, "clips")


def resampled_f1(confusion: Sequence[Sequence[int]]) -> list[Interval | None]:
    """Each class's interval of F1 over resamples of the clips, drawn from the counts of a confusion matrix."""
    import numpy as np

    counts = np.array(confusion)
    if not counts.sum():
        return [None] * len(counts)
    drawn = np.random.default_rng(0).multinomial(counts.sum(), counts.ravel() / counts.sum(), size=RESAMPLES)
    drawn = drawn.reshape(RESAMPLES, *counts.shape)
    both = drawn.sum(axis=1) + drawn.sum(axis=2)  # clips predicted as the class, plus clips of the class
    with np.errstate(invalid="ignore"):
        f1 = 2 * np.diagonal(drawn, axis1=1, axis2=2) / both
    return [percentiles(each) for each in f1.T]


def percentiles(values: Any) -> Interval | None:
    """The middle 95 % of the figures of resamples (R,); None if none is a number."""
    import numpy as np

    found = values[~np.isnan(values)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), "clips")
