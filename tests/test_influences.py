"""What follows from counts of clips is what follows from the influence values themselves."""

from __future__ import annotations

import numpy as np
import pytest

from kws.reports.influences import OfShares, mean_of, product_of


def made_up(draw: np.random.Generator, seeds: int, clusters: np.ndarray) -> tuple[OfShares, np.ndarray]:
    """Influence values by counts, and one by one (n, G)."""
    clips = len(clusters)
    right = draw.random((seeds, clips)) < draw.uniform(0.5, 0.9, (seeds, 1)) * draw.uniform(0.5, 1.0, clips)
    sizes = np.bincount(clusters)
    each = np.stack([(np.bincount(clusters, row) - sizes * row.mean()) / clips for row in right.astype(float)])
    return OfShares.of(np.packbits(right, axis=1), clusters), each


@pytest.mark.parametrize("seeds", [1, 2, 5, 501, 1200])
@pytest.mark.parametrize("speakers", [None, 60, 2])
def test_means_and_products_are_those_of_the_values(seeds, speakers):
    draw = np.random.default_rng(seeds)
    clusters = np.arange(703) if speakers is None else draw.permutation(np.arange(703) % speakers)
    (one, values), (other, others) = made_up(draw, seeds, clusters), made_up(draw, seeds, clusters)
    assert one.shape == values.shape
    np.testing.assert_allclose(mean_of(one), values.mean(axis=0), rtol=1e-9, atol=1e-15)
    for mine, theirs, each, of_each in ((one, one, values, values), (one, other, values, others)):
        product = ((each - each.mean(axis=0)) * (of_each - of_each.mean(axis=0))).sum()
        assert product_of(mine, theirs) == pytest.approx(product, rel=1e-9, abs=1e-18)
        assert product_of(each, of_each) == pytest.approx(product, rel=1e-12, abs=1e-18)


@pytest.mark.parametrize("speakers", [None, 60])
def test_some_seeds_have_the_values_that_they_have_among_all(speakers):
    draw = np.random.default_rng(0)
    clusters = np.arange(700) if speakers is None else draw.permutation(np.arange(700) % speakers)
    made, values = made_up(draw, 50, clusters)
    for rows in (slice(3, 20), [7, 2, 40]):
        np.testing.assert_allclose(mean_of(made[rows]), values[rows].mean(axis=0), rtol=1e-9, atol=1e-15)
        assert product_of(made[rows], made[rows]) == pytest.approx(
            ((values[rows] - values[rows].mean(axis=0)) ** 2).sum(), rel=1e-9
        )


def test_seeds_that_answer_alike_deviate_by_nothing_at_all():
    right = np.tile(np.random.default_rng(0).random(1001) < 0.7, (30, 1))
    made = OfShares.of(np.packbits(right, axis=1), np.arange(1001))
    assert product_of(made, made) == 0.0
