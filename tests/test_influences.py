"""Influence values in blocks are to the last bit those of whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

from kws.reports.influences import Deviations, OfShares, mean_of

SHAPES = [(1, 5), (2, 3), (5, 1229), (333, 501), (1000, 33), (3, 100_000), (129, 128)]


@pytest.mark.parametrize(("n", "clusters"), SHAPES)
def test_sums_in_blocks_are_those_of_the_whole(n, clusters):
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(n, clusters)), draw.normal(size=(n, clusters))
    means = one.mean(axis=0), other.mean(axis=0)
    assert (mean_of(one) == means[0]).all()
    first, second = Deviations(one, means[0]), Deviations(other, means[1])
    assert first.product(first) == ((one - means[0]) ** 2).sum()
    assert first.product(second) == ((one - means[0]) * (other - means[1])).sum()


@pytest.mark.parametrize("speakers", [None, 60])
def test_those_of_shares_are_those_of_means(speakers):
    draw = np.random.default_rng(0)
    right = draw.random((50, 700)) < draw.uniform(0.5, 0.9, (50, 1))
    clusters = np.arange(700) if speakers is None else draw.permutation(np.arange(700) % speakers)
    made, sizes = OfShares.of(right, clusters), np.bincount(clusters)
    whole = np.stack([(np.bincount(clusters, row) - sizes * row.mean()) / 700 for row in right.astype(float)])
    assert made.shape == whole.shape
    assert (made[:] == whole).all() and (made[3:20] == whole[3:20]).all() and (made[[7, 2]] == whole[[7, 2]]).all()
    assert (mean_of(made) == whole.mean(axis=0)).all()
