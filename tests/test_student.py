"""Student's t and the normal distribution against scipy's, over all that tables can ask of them, and far beyond."""

import math

import numpy as np
import pytest
from scipy import special, stats

from kws.reports import student

FREEDOMS = [0.2, 0.5, 1.0, 1.3, 2.0, 2.5, 4.0, 7.3, 9.99, 10.0, 19.5, 30.0, 39.0, 64.2, 99.9, 100.0, 100.1, 224.0]
FREEDOMS += [252.9, 999.0, 1e4, 123_456.7, 1e6, 1e9]
FAR = [*np.geomspace(0.02, 40, 60), 150.0, 1e4]  # below, scipy's tail of few degrees of freedom has fewer digits


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_tails_are_scipys(freedom):
    theirs = special.stdtr(freedom, -np.array(FAR))
    seen = theirs > 1e-290  # further out a float has fewer digits
    ours = np.array([student.above(t, freedom) for t in FAR])
    assert ours[seen] == pytest.approx(theirs[seen], rel=1e-12)
    assert (ours[~seen] < 1e-280).all()


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_quantiles_are_scipys(freedom):
    confidences = [0.1, 0.3, 0.5, 0.6, 0.8, 0.9, 0.95, 0.9875, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9]
    theirs = special.stdtrit(freedom, (1 + np.array(confidences)) / 2)
    assert [student.quantile(each, freedom) for each in confidences] == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("confidence", [0.1, 0.6, 0.95, 0.9875, 1 - 1e-9])
def test_quantiles_with_endless_freedom_are_the_normal_distributions(confidence):
    theirs = stats.norm.ppf((1 + confidence) / 2)
    assert student.quantile(confidence, math.inf) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("freedom", [*FREEDOMS, math.inf])
def test_a_quantile_leaves_out_what_it_should(freedom):
    for confidence in np.linspace(0.001, 0.999, 40):
        left_out = 2 * student.above(student.quantile(confidence, freedom), freedom)
        assert left_out == pytest.approx(1 - confidence, rel=1e-12)


def test_the_middle_has_half_on_each_side():
    for freedom in (*FREEDOMS, math.inf):
        assert (student.above(0.0, freedom), student.quantile(0.0, freedom)) == (0.5, 0.0)


def test_the_normal_distribution_is_scipys():
    x = np.linspace(-37, 9, 400)
    assert [student.normal_below(each) for each in x] == pytest.approx(special.ndtr(x), rel=1e-12)
