"""The estimates of many cells and of all their differences at once, from sums that they share.

kws.reports.estimates makes them one by one, in some 150 microseconds each; ten thousand tables have a million of them.
Only the sums are made here in another way; the estimates are its own, with its degrees of freedom, intervals and p. A
test holds them to those that it makes itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kws.reports import estimates
from kws.reports.estimates import Estimate, Sample


class Moments:
    """C cells of the same n seeds and G clusters: the first n of their samples, or all."""

    def __init__(self, samples: Sequence[Sample], n: int | None = None) -> None:
        values = np.stack([sample.values[:n] for sample in samples])  # (C, n)
        influences = np.stack([sample.influences[:n] for sample in samples])  # type: ignore[index] # (C, n, G)
        count, n, clusters = influences.shape
        means = influences.mean(axis=1)
        apart = (influences - means[:, None]).reshape(count, -1)
        self.n, self._clusters = n, clusters
        self._seeds = np.atleast_2d(np.cov(values)) if n > 1 else np.zeros((count, count))
        self._of_clusters = (means @ means.T) * clusters / (clusters - 1)
        self._both = apart @ apart.T / max(n * (n - 1), 1)
        self.cells = [
            Estimate(
                value=float(values[c].mean()),
                n=n,
                clusters=clusters,
                one_seed=float(self._seeds[c, c]) if n > 1 else None,
                of_seeds=float(self._seeds[c, c]) / n,
                of_clusters=float(self._of_clusters[c, c]),
                of_both=float(self._both[c, c]),
                seed_freedom=n - 1.0,
                clips=samples[c].clips,
            )
            for c in range(count)
        ]

    def difference(self, one: int, other: int, *, paired: bool) -> Estimate:
        """The mean of one cell less that of another."""
        a, b = self.cells[one], self.cells[other]
        paired = paired and self.n > 1
        covariance = float(self._seeds[one, other]) if paired else 0.0
        both = a.of_both + b.of_both - (2 * float(self._both[one, other]) if paired else 0.0)
        found = replace(
            a,
            value=a.value - b.value,
            one_seed=None,
            of_seeds=max(a.of_seeds + b.of_seeds - 2 * covariance / self.n, 0.0),
            of_clusters=max(a.of_clusters + b.of_clusters - 2 * float(self._of_clusters[one, other]), 0.0),
            of_both=max(both, 0.0),
            seed_freedom=0.0,
            clips=None,
        )
        if a.one_seed is None or b.one_seed is None:
            return found
        seeds = (a.one_seed, b.one_seed, covariance)
        freedom = estimates.seed_freedom((a.n, b.n), seeds, self.n if paired else 0)
        return replace(found, one_seed=max(a.one_seed + b.one_seed - 2 * covariance, 0.0), seed_freedom=freedom)
