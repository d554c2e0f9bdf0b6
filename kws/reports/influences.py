"""Influence values of many seeds, of which never more are computed at once than stay near the core.

A registry of 10,000 runs on 1,229 clips has 100 MB of them, and memory that is touched for the first time takes longer
than to compute them again. What they are computed from is a bit a clip, where each clip counts alone. Sums are added up
as NumPy adds up a whole array, so that blocks change no bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_AT_ONCE = 1 << 15  # values that stay near the core
_ROWS = 500  # seeds whose clips are sorted by cluster at once


@dataclass(frozen=True)
class OfShares:
    """Those of shares of clips: an array (n, G), made of how many clips (n, G) of each cluster count."""

    counts: NDArray[Any]  # where each cluster is one clip, the bits of a row together, eight a byte
    values: Floats  # (n,) the shares
    sizes: Floats | None  # (G,) the clusters', in clips; None where each is one clip
    clusters: int

    @classmethod
    def of(cls, right: NDArray[np.bool_], clusters: NDArray[np.int64]) -> OfShares:
        """From which clips (n, N) count, and the cluster (N,) of each."""
        sizes = np.bincount(clusters)
        order, alone = np.argsort(clusters, kind="stable"), len(sizes) == len(clusters)
        parts: list[NDArray[Any]] = []
        for start in range(0, len(right), _ROWS):
            some: NDArray[Any] = right[start : start + _ROWS].take(order, axis=1)
            if alone:
                parts.append(np.packbits(some, axis=1))
            else:
                parts.append(np.add.reduceat(some, np.cumsum(sizes) - sizes, axis=1, dtype=np.int32))
        values = np.count_nonzero(right, axis=1) / len(clusters)
        return cls(np.concatenate(parts), values, None if alone else sizes.astype(float), len(sizes))

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of seeds and of clusters."""
        return len(self.values), self.clusters

    def __getitem__(self, rows: Any) -> Floats:
        values = self.values[rows, None]
        if self.sizes is None:
            made: Floats = np.unpackbits(self.counts[rows], axis=1, count=self.clusters) - values
            made /= self.clusters
        else:
            made = self.counts[rows] - self.sizes * values
            made /= self.sizes.sum()
        return made


Influences = Floats | OfShares


def mean_of(influences: Influences) -> Floats:
    """Their mean (G,) over the seeds."""
    n, clusters = influences.shape
    total, step = np.zeros(clusters), max(_AT_ONCE // max(clusters, 1), 1)
    for first in range(0, n, step):
        for row in influences[first : first + step]:
            total += row
    return total / n


@dataclass(frozen=True)
class Deviations:
    """Influence values (n, G) less their mean (G,)."""

    influences: Influences
    mean: Floats

    def product(self, other: Deviations) -> float:
        """The sum of the products with others, or with themselves."""
        n, clusters = self.influences.shape
        return self._product(other, 0, n * clusters)

    def _product(self, other: Deviations, start: int, end: int) -> float:
        if end - start > _AT_ONCE:
            half = (end - start) // 2
            middle = start + half - half % 8
            return self._product(other, start, middle) + self._product(other, middle, end)
        mine = self._between(start, end)
        return float(np.add.reduce(mine * (mine if other is self else other._between(start, end))))

    def _between(self, start: int, end: int) -> Floats:
        """Some of them, row after row."""
        clusters = len(self.mean)
        first, last = start // clusters, -(-end // clusters)
        apart = self.influences[first:last]
        apart = apart - self.mean
        return apart.reshape(-1)[start - first * clusters : end - first * clusters]
