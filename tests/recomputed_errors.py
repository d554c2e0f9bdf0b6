"""The error of a figure or of a difference of two, for tests/recompute.py: over pairs of seeds, cluster by cluster."""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
from recomputed_data import Runs
from scipy import integrate, stats

LEVEL = 0.95
ROUNDING = 1e-12


class Error:
    """The three squared standard errors of a weighted sum of seeds' values, and degrees of freedom.

    `sides` are the cells with the sign that they have in the sum; `paired` says whether equal seeds belong together.
    """

    def __init__(self, *sides: tuple[float, Runs], paired: bool = False) -> None:
        self.value = sum(sign * cell.mean() for sign, cell in sides)
        self.sides, self.n = [cell for _, cell in sides], min(cell.n for _, cell in sides)
        self.terms = [(sign / cell.n, side, seed) for side, (sign, cell) in enumerate(sides) for seed in cell.values]
        self.common = sorted(set.intersection(*(set(cell.values) for _, cell in sides))) if paired else []
        self.common = self.common if len(self.common) > 1 else []
        self._coefficients = self._of_pairs(self.terms)
        self.known = [cell.seed_variance() for _, cell in sides]
        others = [each for each in self.known if each is not None]
        self.own = [each if each is not None else (others[0] if others else 0.0) for each in self.known]
        values = [np.array([cell.values[seed] for seed in self.common]) for cell in self.sides]
        self.covariance = 0.0
        if self.common:  # no more than if all seeds went together
            most = math.sqrt(math.prod(self.own))
            self.covariance = float(np.clip(np.cov(*values)[0, 1], -most, most))
        self.of_seeds = max(self._over_all(self.own, self.covariance), 0.0)
        one = sum(self.own) - 2 * self.covariance
        self.one_seed = max(one, 0.0) if len(sides) > 1 else self.own[0]
        self.of_clusters = self.of_both = 0.0
        self.clusters = 0
        self.own_both, self.both_covariance = [0.0] * len(sides), 0.0
        if all(cell.moved is not None for cell in self.sides):
            self._over_clips()

    def _over_all(self, variances: list[float], covariance: float, terms: list | None = None) -> float:
        """The variance of the sum, or of some of its terms, over every pair of them."""
        own, common = self._coefficients if terms is None else self._of_pairs(terms)
        return sum(each * variance for each, variance in zip(own, variances, strict=True)) + common * covariance

    def _of_pairs(self, terms: list) -> tuple[list[float], float]:
        """How often each side's variance, and the covariance of equal seeds, stand in the variance of a sum."""
        own, common = [0.0] * len(self.sides), 0.0
        for weight, side, seed in terms:
            for other_weight, other_side, other_seed in terms:
                if (side, seed) == (other_side, other_seed):
                    own[side] += weight * other_weight
                elif side != other_side and seed == other_seed and seed in self.common:
                    common += weight * other_weight
        return own, common

    def _over_clips(self) -> None:
        moved = [np.stack(list(cell.moved.values())) for cell in self.sides]  # (n, G) of each side
        self.clusters = moved[0].shape[1]
        whole = sum(weight * self.sides[side].moved[seed] for weight, side, seed in self.terms)
        spread = self.clusters / (self.clusters - 1) if self.clusters > 1 else 1.0
        self.of_clusters = spread * sum(float(each) ** 2 for each in whole)
        for k in range(self.clusters):
            own = [float(np.var(each[:, k], ddof=1)) if len(each) > 1 else 0.0 for each in moved]
            pairs = [[cell.moved[seed][k] for seed in self.common] for cell in self.sides]
            covariance = float(np.cov(*pairs)[0, 1]) if self.common else 0.0
            self.of_both += self._over_all(own, covariance)
            self.own_both = [before + each for before, each in zip(self.own_both, own, strict=True)]
            self.both_covariance += covariance
        self.of_both = max(self.of_both, 0.0)

    def with_clips(self, clips: int) -> Error:
        """The same where only the number of right clips is known: a share's own error beside that of seeds."""
        self.clusters, self.of_clusters = clips, self.value * (1 - self.value) / clips
        return self

    @property
    def variance(self) -> float:
        return self.of_clusters + max(self.of_seeds - self.of_both, 0.0)

    @property
    def seed_freedom(self) -> float:
        """Satterthwaite's, of three independent sums: over pairs, and over each side's seeds that are in none."""
        if len(self.sides) == 1 or None in self.known:
            return max(cell.n for cell in self.sides) - 1
        parts = [([term for term in self.terms if term[2] in self.common], len(self.common) - 1)]
        for side, cell in enumerate(self.sides):
            parts.append(([term for term in self.terms if term[1] == side and term[2] not in self.common], cell.n - 1))
        variances = [(self._over_all(self.own, self.covariance, terms), freedom) for terms, freedom in parts if terms]
        below = sum(variance**2 / freedom for variance, freedom in variances if variance > 0)
        return sum(variance for variance, _ in variances) ** 2 / below if below else min(c.n for c in self.sides) - 1

    @property
    def freedom(self) -> float:
        return freedom_of(self.variance, self.of_seeds, self.seed_freedom, self.of_clusters, self.clusters, self.n)

    def findable(self, level: float) -> float:
        """The difference that is found with 80 % power."""
        return _findable(math.sqrt(self.variance), self.freedom, level)

    def planned(self, counts: list[int], times: float) -> tuple[float, float]:
        """The variance and the degrees of freedom of the same with so many seeds a side, and times as many clusters.

        Where seeds are paired, as many more are as can be. What both seeds and clusters add shrinks with both.
        """
        pairs = 0
        if self.common:
            pairs = min(len(self.common) + sum(counts) - sum(cell.n for cell in self.sides), *counts)
        weights = [1 / count for count in counts]

        def over_all(own: list[float], covariance: float, numbers: list[int], common: int) -> float:
            alone = sum(n * w * w * variance for n, w, variance in zip(numbers, weights, own, strict=True))
            return alone - 2 * common * math.prod(weights) * covariance

        seeds = max(over_all(self.own, self.covariance, counts, pairs), 0.0)
        both = max(over_all(self.own_both, self.both_covariance, counts, pairs), 0.0)
        of_seeds = max(seeds - both + both / times, 0.0)
        of_clusters = (max(self.of_clusters - self.of_both, 0.0) + both) / times
        parts = [(over_all(self.own, self.covariance, [pairs] * len(counts), pairs), pairs - 1)]
        for side, count in enumerate(counts):
            alone = [count - pairs if each == side else 0 for each in range(len(counts))]
            parts.append((over_all(self.own, 0.0, alone, 0), count - 1))
        below = sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
        own = sum(variance for variance, _ in parts) ** 2 / below if below else min(counts) - 1
        variance = of_clusters + max(of_seeds - both / times, 0.0)
        return variance, freedom_of(variance, of_seeds, own, of_clusters, round(self.clusters * times), min(counts))

    def plan(self, distance: float, level: float) -> dict | None:
        """The more seeds and the times as many clusters with which that difference is found; None where none does.

        Seeds alone if they do it; else as many as leave four fifths of the squared error to clips.
        """
        now, most = [cell.n for cell in self.sides], 2**20
        if None in self.known or not distance:
            return None

        def finds(n: int, times: float = 1.0, wanted: float = distance) -> bool:
            variance, freedom = self.planned([max(each, n) for each in now], times)
            return _findable(math.sqrt(variance), freedom, level) <= wanted

        fewest, times = range(min(now), most), 1.0
        if finds(most):
            n = fewest[bisect_left(fewest, True, key=finds)]
        elif finds(most, 1_000.0, math.sqrt(0.2) * distance) or finds(min(now), 1_000.0, math.sqrt(0.2) * distance):
            n = fewest[bisect_left(fewest, True, key=lambda n: finds(n, 1_000.0, math.sqrt(0.2) * distance))]
            steps = [1.001**k for k in range(6_930)]
            times = steps[bisect_left(steps, True, key=lambda times: finds(n, times))]
        else:
            return None
        more = [max(each, n) - each for each in now]
        return {"more_seeds": [*more, *[0] * (2 - len(more))], "speakers": times}

    def t(self, level: float = LEVEL) -> float:
        above = (1 - level) / 2
        return float(stats.norm.isf(above) if math.isinf(self.freedom) else stats.t.isf(above, self.freedom))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        error = math.sqrt(self.variance)
        if not error:
            return self.value, self.value
        law = stats.norm(self.value, error) if math.isinf(self.freedom) else stats.t(self.freedom, self.value, error)
        return tuple(map(float, law.interval(level)))

    def share_interval(self, clips: int) -> tuple[float, float]:
        """Where (share - x)^2 = t^2 x (1 - x) / clips, clips being as many as would have this variance."""
        share = self.value
        own = share * (1 - share)
        effective, t = float(clips), self.t()
        if own > ROUNDING and math.sqrt(self.variance) > ROUNDING:
            effective = min(own / self.variance, float(self.n * clips))
        low, high = sorted(np.roots([1 + t * t / effective, -2 * share - t * t / effective, share * share]).real)
        return (max(float(low), 0.0) if share > 0 else 0.0), (min(float(high), 1.0) if share < 1 else 1.0)

    def p(self) -> float:
        """That of a tie, for which seeds' degrees of freedom count 2.5 times at most."""
        if abs(self.value) < ROUNDING or (self.clusters < 2 and not self.seed_freedom):
            return 1.0
        if math.sqrt(self.variance) <= ROUNDING:
            return 0.0
        ratio = abs(self.value) / math.sqrt(self.variance)
        freedom = min(self.freedom, max(2.5 * self.seed_freedom, 1.0) if self.seed_freedom else math.inf)
        return 2 * float(stats.norm.sf(ratio) if math.isinf(freedom) else stats.t.sf(ratio, freedom))


def freedom_of(variance: float, seeds: float, seed_freedom: float, of_clusters: float, clusters: int, n: int) -> float:
    """Satterthwaite's, of a sum of two variances; no more than 4 where two seeds are all that one side has."""
    if math.sqrt(variance) <= ROUNDING:
        return math.inf
    below = seeds**2 / seed_freedom if seed_freedom and seeds else 0.0
    below += of_clusters**2 / (clusters - 1) if clusters > 1 else 0.0
    if not below:
        return math.inf
    found = max(variance**2 / below, 1.0)
    return min(found, 4.0) if seed_freedom and (n == 2 or seed_freedom < 2) else found


def _findable(error: float, freedom: float, level: float) -> float:
    law = stats.norm if math.isinf(freedom) else stats.t(freedom)
    return error * float(law.isf((1 - level) / 2) + law.ppf(0.8))


def told(means: dict, differences: dict) -> dict:
    """Drop the worse of the two that are told apart most clearly, with Bonferroni's p of all pairs left, and again."""
    left, found, so_far = sorted(means, key=lambda each: means[each]), {}, 0.0
    p_values = {pair: each.p() for pair, each in differences.items()}
    while len(left) > 1:
        pairs = [pair for pair in p_values if pair[0] in left and pair[1] in left]
        least = min(pairs, key=lambda pair: (p_values[pair], -abs(differences[pair].value)))
        worse = min(least, key=lambda each: means[each])
        so_far = max(so_far, min(1.0, p_values[least] * len(pairs)))
        found[worse] = so_far
        left.remove(worse)
    return found


def largest_of(count: int) -> float:
    """The mean of the largest of so many standard normal numbers, by its distribution function."""
    above = integrate.quad(lambda x: 1 - stats.norm.cdf(x) ** count, 0, 12, epsabs=1e-12)[0]
    return above - integrate.quad(lambda x: stats.norm.cdf(x) ** count, -12, 0, epsabs=1e-12)[0]
