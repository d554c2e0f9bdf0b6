"""What can be told from few seeds and many clips: intervals of an accuracy, and whether two cells differ.

Decisions:
- Over two or more seeds an interval is Student's t's, which is about training again; with one seed it is Wilson's over
  the test clips (JASA 22, 1927), which is about other clips only.
- Two cells are told apart only where both of what might fool one is ruled out: a paired t test over the seeds that both
  have, and one over the test clips, each clip's answers averaged over those seeds. The larger p counts. With one seed
  in common there is the test over clips alone.
- What is neither a mean nor a share (F1, rates of equal error, calibration) has the middle 95 % of what 1,000 resamples
  of the clips give (Efron, Annals of Statistics 7, 1979); they are the same ones each time.
- Several comparisons with the best are corrected by Holm (Scandinavian Journal of Statistics 6, 1979).
scipy's statistics take a second to import, so they are imported where a test is asked for.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

CONFIDENCE = 0.95
RESAMPLES = 1_000
_NORMAL_QUANTILE = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Interval:
    """The two ends of a 95 % confidence interval, and what it is over: "seeds" or "clips"."""

    low: float
    high: float
    over: str


@dataclass(frozen=True)
class Paired:
    """A comparison of two cells: the mean difference, its interval, p, and how many seeds and clips both have."""

    difference: float
    interval: Interval
    p: float
    seeds: int
    clips: int


def over_seeds(values: Sequence[float]) -> Interval:
    """Student's interval of the mean of two or more seeds' values."""
    mean, n = statistics.mean(values), len(values)
    half = student_quantile(n - 1) * statistics.stdev(values) / math.sqrt(n)
    return Interval(mean - half, mean + half, "seeds")


@cache
def student_quantile(freedom: int) -> float:
    """The t within which 95 % of Student's distribution with so many degrees of freedom lies.

    By bisection on the finite series for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4): scipy has
    it, too, but takes longer to import than a table to print.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        angle = (low + high) / 2
        low, high = (angle, high) if _student_within(angle, freedom) < CONFIDENCE else (low, angle)
    return math.tan(low) * math.sqrt(freedom)


def _student_within(angle: float, freedom: int) -> float:
    """P(|T| <= t) where t = tan(angle) sqrt(freedom)."""
    sine, square = math.sin(angle), math.cos(angle) ** 2
    if freedom == 1:
        return 2 * angle / math.pi
    odd = freedom % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(3 if odd else 2, freedom, 2):
        term *= square * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def over_clips(right: int, clips: int) -> Interval:
    """Wilson's interval of a proportion; all from 0 to 1 where there are no clips."""
    if not clips:
        return Interval(0.0, 1.0, "clips")
    z2 = _NORMAL_QUANTILE**2
    share = right / clips
    centre = (share + z2 / (2 * clips)) / (1 + z2 / clips)
    half = _NORMAL_QUANTILE / (1 + z2 / clips) * math.sqrt(share * (1 - share) / clips + z2 / (4 * clips**2))
    return Interval(centre - half if right else 0.0, centre + half if right < clips else 1.0, "clips")


def resampled_f1(confusion: Sequence[Sequence[int]]) -> list[Interval | None]:
    """Each class's interval of F1 over resamples of the clips, from the counts that a confusion matrix has of them."""
    import numpy as np

    counts = np.array(confusion)
    if not counts.sum():
        return [None] * len(counts)
    drawn = np.random.default_rng(0).multinomial(counts.sum(), counts.ravel() / counts.sum(), size=RESAMPLES)
    drawn = drawn.reshape(RESAMPLES, *counts.shape)
    both = drawn.sum(axis=1) + drawn.sum(axis=2)  # clips that were predicted to be of the class, or are
    with np.errstate(invalid="ignore"):
        f1 = 2 * np.diagonal(drawn, axis1=1, axis2=2) / both
    return [percentiles(each) for each in f1.T]


def percentiles(values: Any) -> Interval | None:
    """The middle 95 % of the figures that resamples gave (R,); None where none gave a number."""
    import numpy as np

    found = values[~np.isnan(values)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), "clips")


def paired(first: Mapping[int, bytes], second: Mapping[int, bytes], labels: bytes) -> Paired | None:
    """Compare two cells' answers on the same clips, by seed: a byte a clip; None where they have no seed in common."""
    import numpy as np
    from scipy import stats

    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    truth = np.frombuffer(labels, np.uint8)
    right = [np.stack([np.frombuffer(side[seed], np.uint8) == truth for seed in seeds]) for side in (first, second)]
    differences = right[0].astype(float) - right[1]  # (seeds, clips)
    by_seed, by_clip = differences.mean(axis=1), differences.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where hardly anything differs; p is then 0, 1 or none
        p_clips, p_seeds = (_p(stats.ttest_1samp(side, 0.0).pvalue) for side in (by_clip, by_seed))
    difference = float(differences.mean())
    spread = float(by_clip.std(ddof=1)) / math.sqrt(len(by_clip)) * _NORMAL_QUANTILE if len(by_clip) > 1 else 0.0
    interval = Interval(difference - spread, difference + spread, "clips")
    if len(seeds) == 1:
        return Paired(difference, interval, p_clips, 1, len(truth))
    of_seeds = over_seeds(by_seed.tolist())
    wider = of_seeds if of_seeds.high - of_seeds.low > 2 * spread else interval
    return Paired(difference, wider, max(p_seeds, p_clips), len(seeds), len(truth))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _p(value: float) -> float:
    """The p that scipy gives; 1 where nothing differs anywhere and it gives none."""
    return 1.0 if math.isnan(value) else float(value)
