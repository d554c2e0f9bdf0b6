"""One uncertainty model for cells, differences, ties and claims: seeds and test speakers are both drawn at random.

A value is the mean over n seeds of a statistic of the same clips. The clips form G clusters: the clips of a speaker, or
single clips if speakers are unknown. The variance is that of two crossed random factors (Cameron, Gelbach and Miller,
Journal of Business & Economic Statistics 29, 2011):

    SE^2  =  SE^2 of seeds  +  SE^2 of clusters  -  SE^2 of their interaction, which both of these contain

Decisions:
- A statistic is described by its influence values u[s, k]: how much cluster k moves the value of seed s. For a mean
  over clips, u is the sum over the cluster of the deviations from the mean, divided by the number of all clips.
- Degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946). With two seeds on any side they are at most 4: a
  variance with one degree of freedom is often far too small, and then overstates them. At the small levels of ties, a
  variance with a few more is, too: there they are at most 2.5 times those of the seeds.
- Two cells are always paired by clips. They are paired by seeds if the same seed gave both the same initial weights;
  seeds that only one of them has count, too.
- One seed says nothing about retraining. If another cell of the comparison has several seeds, its variance of seeds is
  used instead. Otherwise the interval is over clips alone, and whatever shows it says so.
- Proportions have Wilson's interval (JASA 22, 1927) with the effective number of clips, so that no end leaves [0, 1].
- Student's distribution is that of kws.reports.student, since scipy's is slow to import.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kws.reports import student
from kws.reports.influences import Influences, mean_of, product_of
from kws.reports.statistics import CONFIDENCE

Floats = NDArray[np.float64]
T = TypeVar("T")
POWER = 0.8
_FREEDOM_OF_TWO_SEEDS = 4.0
_FREEDOM_OF_TIES = 2.5  # times that of the seeds
_FEW = 1e-12  # a difference or an error below this is rounding


@dataclass(frozen=True)
class Sample:
    """A statistic's value for each seed (n,) and its influence values (n, G); None if no clips are known to matter.

    `clips` is the number of clips of which the values are shares, if they are. It bounds what perfect predictions can
    prove.
    """

    seeds: tuple[int, ...]
    values: Floats
    influences: Influences | None
    clips: int | None = None

    @cached_property
    def place_of(self) -> dict[int, int]:
        """The row of each seed."""
        return {seed: place for place, seed in enumerate(self.seeds)}

    @cached_property
    def mean_influences(self) -> Floats:
        """The influence values (G,) on the mean over the seeds; zeros if no clips are known to matter."""
        return np.zeros(0) if self.influences is None else mean_of(self.influences)

    def influences_of(self, rows: Sequence[int]) -> Influences:
        """The influence values of some of the seeds."""
        assert self.influences is not None
        return self.influences if [*rows] == [*range(len(self.seeds))] else self.influences[rows]

    @cached_property
    def of_clips(self) -> tuple[float, float, int]:
        """The squared standard errors of clusters and of the interaction, and the number of clusters."""
        if self.influences is None:
            return 0.0, 0.0, 0
        n, clusters = self.influences.shape
        of_both = product_of(self.influences, self.influences) / (n * (n - 1)) if n > 1 else 0.0
        return _inflated(clusters) * float((self.mean_influences**2).sum()), of_both, clusters

    @cached_property
    def estimate(self) -> Estimate:
        """The mean over the seeds."""
        n = len(self.seeds)
        one_seed = float(self.values.var(ddof=1)) if n > 1 else None
        of_clusters, of_both, clusters = self.of_clips
        return Estimate(
            value=math.fsum(self.values) / n,
            n=n,
            clusters=clusters,
            one_seed=one_seed,
            of_seeds=(one_seed or 0.0) / n,
            of_clusters=of_clusters,
            of_both=of_both,
            seed_freedom=float(n - 1),
            clips=self.clips,
            components=None
            if one_seed is None
            else Components(
                seeds=(n, 0), pairs=0, paired=False, of_seeds=(one_seed, 0.0, 0.0), of_both=(n * of_both, 0.0, 0.0)
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Components:
    """What the variance of a cell or a difference is made of, so that kws.reports.power can plan for other numbers.

    `of_seeds` has the variance of a single seed of the first and of the second cell, and their covariance where equal
    seeds are paired; `of_both` has the same of the interaction. A single cell has no second one: 0 seeds, and zeros.
    """

    seeds: tuple[int, int]
    pairs: int  # seeds that both have and that are paired
    paired: bool
    of_seeds: tuple[float, float, float]
    of_both: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value or a difference, and the parts of its variance.

    `one_seed` is the variance of a single seed's value about the mean over seeds; None if unknown. `of_seeds`,
    `of_clusters` and `of_both` are the squared standard errors in the module's formula.
    """

    value: float
    n: int  # seeds; for two cells, the smaller number
    clusters: int  # 0 if no clips are known to matter
    one_seed: float | None
    of_seeds: float
    of_clusters: float
    of_both: float
    seed_freedom: float
    clips: int | None = None
    components: Components | None = None  # None where a seed's variance is not known

    @property
    def variance(self) -> float:
        """The squared standard error."""
        return self.of_clusters + max(self.of_seeds - self.of_both, 0.0)

    @property
    def standard_error(self) -> float:
        """The standard error."""
        return math.sqrt(self.variance)

    @property
    def varies(self) -> bool:
        """Whether the standard error is more than rounding."""
        return self.standard_error > _FEW

    @property
    def freedom(self) -> float:
        """Satterthwaite's degrees of freedom; infinite if nothing varies."""
        if not self.varies:
            return math.inf
        terms = 0.0
        if self.seed_freedom and self.of_seeds:
            terms += self.of_seeds**2 / self.seed_freedom
        if self.clusters > 1:
            terms += self.of_clusters**2 / (self.clusters - 1)
        if not terms:
            return math.inf
        found = max(self.variance**2 / terms, 1.0)
        two = self.seed_freedom and (self.n == 2 or self.seed_freedom < 2)
        return min(found, _FREEDOM_OF_TWO_SEEDS) if two else found

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The ends of the symmetric interval."""
        half = student.quantile(confidence, self.freedom) * self.standard_error
        return self.value - half, self.value + half

    def proportion_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Wilson's interval of a share, for as many independent clips as would give this variance."""
        share = min(max(self.value, 0.0), 1.0)
        own = share * (1 - share)
        clips = float(self.clips or 1)  # what predictions that are all alike prove, for any number of seeds
        if self.varies and own > _FEW:
            clips = min(own / self.variance, self.n * clips)
        t = student.quantile(confidence, self.freedom)
        centre = (share + t * t / (2 * clips)) / (1 + t * t / clips)
        half = t / (1 + t * t / clips) * math.sqrt(own / clips + t * t / (4 * clips * clips))
        return (max(centre - half, 0.0) if share > 0 else 0.0), (min(centre + half, 1.0) if share < 1 else 1.0)

    def p(self, value: float = 0.0, *, freedom: float = math.inf) -> float:
        """Student's two-sided p for the true value being `value`, with at most `freedom` degrees of freedom.

        1 if nothing is known about its error.
        """
        distance = abs(self.value - value)
        if distance < _FEW or not (self.clusters > 1 or self.seed_freedom):
            return 1.0
        return 2 * student.above(distance / self.standard_error, min(self.freedom, freedom)) if self.varies else 0.0

    def p_of_tie(self) -> float:
        """The p of no difference, for levels of a fraction of a percent."""
        return self.p(freedom=max(_FREEDOM_OF_TIES * self.seed_freedom, 1.0) if self.seed_freedom else math.inf)

    def detectable(self, confidence: float = CONFIDENCE) -> float:
        """The difference that as many seeds and clips would have found with 80 % power."""
        found = student.quantile(2 * POWER - 1, self.freedom)
        return (student.quantile(confidence, self.freedom) + found) * self.standard_error


def clusters_of(clips: int, speakers: Sequence[str] | None, digests: Sequence[bytes] | None) -> NDArray[np.int64]:
    """The cluster (N,) of each clip, from 0: its speaker's, or its own; clips with the same audio share one."""
    parent: dict[object, object] = {}

    def root(of: object) -> object:
        while parent.setdefault(of, of) != of:
            of = parent[of]
        return of

    keys: list[object] = [("speaker", name) for name in speakers] if speakers else [("clip", i) for i in range(clips)]
    for key, digest in zip(keys, digests or (), strict=False):
        parent[root(("sound", digest))] = root(key)
    roots = [root(key) for key in keys]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[each] for each in roots], dtype=np.int64)


def of_means(seeds: Sequence[int], per_clip: Floats, clusters: NDArray[np.int64], *, share: bool = False) -> Sample:
    """The sample of means over clips (n,), from a value per seed and clip (n, N)."""
    count = int(clusters.max(initial=-1)) + 1
    sizes = np.bincount(clusters, minlength=count)
    values = per_clip.mean(axis=1)
    sums = np.stack([np.bincount(clusters, row, count) for row in per_clip])
    influences = (sums - sizes * values[:, None]) / per_clip.shape[1]
    return Sample(tuple(seeds), values, influences, per_clip.shape[1] if share else None)


def of_cell(sample: Sample) -> Estimate:
    """The mean over the seeds of a sample."""
    return sample.estimate


def of_difference(first: Sample, second: Sample, *, paired: bool) -> Estimate:
    """The mean of the first minus the mean of the second, on the same clips; seeds are `paired` or independent."""
    a, b = of_cell(first), of_cell(second)
    common = sorted(set(first.seeds) & set(second.seeds)) if paired else []
    both = 0.0
    shared = len(common) / (a.n * b.n) if len(common) > 1 else 0.0
    mine, theirs = ([side.place_of[seed] for seed in common] for side in (first, second))
    of_clusters, clusters, both_covariance = 0.0, 0, 0.0
    if first.influences is not None and second.influences is not None:
        clusters = first.influences.shape[1]
        mean = first.mean_influences - second.mean_influences
        of_clusters = _inflated(clusters) * float((mean**2).sum())
        both = a.of_both + b.of_both
        if shared:
            both_covariance = product_of(first.influences_of(mine), second.influences_of(theirs)) / (len(common) - 1)
            both -= 2 * shared * both_covariance
    one, other = _seed_variances(a, b)
    covariance = 0.0
    if shared:  # bounded by perfect correlation, however few seeds both cells have
        most = math.sqrt(one * other)
        covariance = min(max(float(np.cov(first.values[mine], second.values[theirs])[0, 1]), -most), most)
    of_seeds = max(one / a.n + other / b.n - 2 * shared * covariance, 0.0)
    return Estimate(
        value=a.value - b.value,
        n=min(a.n, b.n),
        clusters=clusters,
        one_seed=None if a.one_seed is None and b.one_seed is None else max(one + other - 2 * covariance, 0.0),
        of_seeds=of_seeds,
        of_clusters=of_clusters,
        of_both=max(both, 0.0),
        seed_freedom=seed_freedom((a.n, b.n), (one, other, covariance), len(common) if shared else 0)
        if a.one_seed is not None and b.one_seed is not None
        else float(max(a.n, b.n) - 1),  # one variance used twice has no more degrees of freedom than its own
        components=None
        if a.one_seed is None or b.one_seed is None
        else Components(
            seeds=(a.n, b.n),
            pairs=len(common) if shared else 0,
            paired=paired,
            of_seeds=(one, other, covariance),
            of_both=(a.n * a.of_both, b.n * b.of_both, both_covariance),
        ),
    )


def from_elsewhere(
    estimate: Estimate, reported: float, *, seeds: int = 1, deviation: float | None = None, clips: float = 1.0
) -> Estimate:
    """A mean minus the mean of `seeds` runs elsewhere, whose test clips are of other speakers.

    `deviation` is that of their seeds, as ours where it is None; `clips` is how many times as many test clips as ours
    they have.
    """
    one_seed = (estimate.one_seed or 0.0) if deviation is None else deviation**2
    return replace(
        estimate,
        value=estimate.value - reported,
        of_seeds=estimate.of_seeds + one_seed / seeds,
        of_clusters=estimate.of_clusters + max(estimate.of_clusters - estimate.of_both, 0.0) / clips,
        clips=None,
        components=None,
    )


def told_from_best(means: Mapping[T, float], differences: Mapping[tuple[T, T], Estimate]) -> dict[T, float]:
    """The p at which each cell, except the one with the largest mean, differs from the best.

    `differences` has the difference of every pair of cells, in either direction.
    The cell that another one beats most clearly is dropped, with Bonferroni's p over all pairs of the remaining cells,
    and so on; p never falls on the way. So at a level of 5 %, one of the truly best cells is dropped in at most 5 % of
    tables, whichever looked best (the model confidence set of Hansen, Lunde and Nason, Econometrica 79, 2011).
    """
    left, found, largest = set(means), {}, 0.0
    of_pairs = {pair: each.p_of_tie() for pair, each in differences.items()}
    while len(left) > 1:
        pairs = {pair: p for pair, p in of_pairs.items() if left.issuperset(pair)}
        pair, p = min(pairs.items(), key=lambda each: (each[1], -abs(differences[each[0]].value)))
        _, other = sorted(pair, key=lambda each: -means[each])
        largest = max(largest, min(1.0, p * len(pairs)))
        found[other] = largest
        left.remove(other)
    return found


def largest_of(count: int) -> float:
    """The expected largest of `count` independent standard normal numbers."""
    x = np.linspace(-9.0, 9.0, 6_001)
    below = np.array([student.normal_below(each) for each in x.tolist()])
    return float(np.trapezoid(x * count * below ** (count - 1) * np.exp(-x * x / 2) / math.sqrt(2 * math.pi), x))


def _inflated(clusters: int) -> float:
    return clusters / (clusters - 1) if clusters > 1 else 1.0


def _seed_variances(a: Estimate, b: Estimate) -> tuple[float, float]:
    """Each cell's variance of seeds; a cell with a single seed gets the other's."""
    known = a.one_seed if a.one_seed is not None else b.one_seed
    if known is None:
        return 0.0, 0.0
    return (known if a.one_seed is None else a.one_seed), (known if b.one_seed is None else b.one_seed)


def seed_freedom(seeds: tuple[int, int], of_seeds: tuple[float, float, float], pairs: int) -> float:
    """The degrees of freedom of the seeds in a difference of cells with so many seeds, of which `pairs` are paired.

    Those of its pairs and of the seeds that only one cell has add up as Welch's do (Biometrika 34, 1947). `of_seeds`
    is as in Components.
    """
    (n, m), (one, other, covariance) = seeds, of_seeds
    parts = [
        (pairs * (one / n**2 + other / m**2 - 2 * covariance / (n * m)), pairs - 1),
        ((n - pairs) * one / n**2, n - 1),
        ((m - pairs) * other / m**2, m - 1),
    ]
    total = sum(part for part, _ in parts)
    terms = sum(part**2 / freedom for part, freedom in parts if part > 0)
    return total**2 / terms if terms else float(min(n, m) - 1)
