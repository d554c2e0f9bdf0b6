"""Influence values of the seeds of a cell: how much each cluster of test clips moves the value of each seed.

What is asked of them is their mean over the seeds, and sums of products of what deviates from it. For a share of clips
both follow from how many clips count, in whole numbers, so that no value is computed for itself. A cell of 25,000 seeds
on 1,229 clips has 30 million values; what they follow from is a bit each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROWS = 500  # seeds whose clips are looked at at once


@dataclass(frozen=True)
class OfShares:
    """Influence values (n, G) of n shares of N clips, by how many clips of each cluster count: `counts` (n, G).

    `sizes` (G,) has the clusters' sizes in clips. Where each cluster is one clip, `counts` has the bits of a row
    together, eight a byte.
    """

    counts: NDArray[Any]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, right: NDArray[np.uint8], clusters: NDArray[np.int64]) -> OfShares:
        """From which clips count, as bits (n, N / 8), and the cluster (N,) of each."""
        sizes, clips = np.bincount(clusters), len(clusters)
        order, alone = np.argsort(clusters, kind="stable"), len(sizes) == clips
        in_order = bool((clusters[:-1] <= clusters[1:]).all())
        if alone and in_order:
            return cls(right, sizes)
        parts: list[NDArray[Any]] = []
        for start in range(0, len(right), _ROWS):
            some: NDArray[Any] = np.unpackbits(right[start : start + _ROWS], axis=1, count=clips)
            some = some if in_order else some.take(order, axis=1)
            if alone:
                parts.append(np.packbits(some, axis=1))
            else:
                parts.append(np.add.reduceat(some, np.cumsum(sizes) - sizes, axis=1, dtype=np.int32))
        return cls(np.concatenate(parts), sizes)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of seeds and of clusters."""
        return len(self.counts), len(self.sizes)

    def __getitem__(self, rows: Any) -> OfShares:
        """Those of some of the seeds."""
        return OfShares(self.counts[rows], self.sizes)

    @property
    def clips(self) -> int:
        """The number of clips."""
        return int(self.sizes.sum())

    @cached_property
    def of_seeds(self) -> tuple[list[int], list[int]]:
        """For each seed, how many clips count; and the sum over them of the sizes of their clusters."""
        if self._are_bits:
            found = np.bitwise_count(self.counts).sum(axis=1, dtype=np.int64).tolist()
            return found, found
        return self.counts.sum(axis=1, dtype=np.int64).tolist(), (self.counts @ self.sizes).tolist()

    @cached_property
    def of_clusters(self) -> list[int]:
        """For each cluster, how many clips count for all seeds together."""
        total = np.zeros(len(self.sizes), dtype=np.int64)
        for start in range(0, len(self.counts), _ROWS):
            some = self.counts[start : start + _ROWS]
            total += (np.unpackbits(some, axis=1, count=len(total)) if self._are_bits else some).sum(axis=0, dtype=int)
        return total.tolist()

    @property
    def _are_bits(self) -> bool:
        return self.counts.dtype == np.uint8

    def both(self, other: OfShares) -> int:
        """The sum over seeds and clusters of the products of their counts and those of others."""
        total = 0
        for start in range(0, len(self.counts), _ROWS):
            mine, theirs = (each.counts[start : start + _ROWS] for each in (self, other))
            if self._are_bits:
                total += int(np.bitwise_count(mine & theirs).sum(dtype=np.int64))
            else:
                total += int(np.einsum("sk,sk->", mine, theirs, dtype=np.int64))
        return total


Influences = Floats | OfShares


def mean_of(influences: Influences) -> Floats:
    """Their mean (G,) over the seeds."""
    n = influences.shape[0]
    if isinstance(influences, OfShares):
        share = sum(influences.of_seeds[0]) / (n * influences.clips)
        made: Floats = (np.array(influences.of_clusters) / n - influences.sizes * share) / influences.clips
        return made
    found: Floats = influences.mean(axis=0)
    return found


def product_of(one: Influences, other: Influences) -> float:
    """The sum over seeds and clusters of the products of what deviates from the means over the seeds.

    Both are those of shares, or neither is.
    """
    if isinstance(one, OfShares) or isinstance(other, OfShares):
        assert isinstance(one, OfShares) and isinstance(other, OfShares)
        return _of_counts(one, other)
    apart = one - mean_of(one)
    return float((apart * (apart if one is other else other - mean_of(other))).sum())


def _of_counts(one: OfShares, other: OfShares) -> float:
    """product_of() those of shares.

    Seed s is right about c[s, k] of the z[k] clips of cluster k, so its influence value is (c[s, k] - z[k] v[s]) / N,
    where v[s] is its share of all N clips. The products are sums of covariances over the n seeds: of c with c, summed
    over the clusters; of v with the sum of z c; and of v with v, times the sum of the squares of z.
    """
    n, clips = one.shape[0], one.clips
    (mine, of_mine), (theirs, of_theirs) = one.of_seeds, other.of_seeds
    counts = n * one.both(other) - sum(map(mul, one.of_clusters, other.of_clusters))
    crossed = _covariance(of_mine, theirs) + _covariance(of_theirs, mine)
    squares = int((one.sizes**2).sum())
    return (clips * (clips * counts - crossed) + squares * _covariance(mine, theirs)) / (n * clips**4)


def _covariance(one: Sequence[int], other: Sequence[int]) -> int:
    """The covariance of n whole numbers with as many others, times n squared."""
    return len(one) * sum(map(mul, one, other)) - sum(one) * sum(other)
