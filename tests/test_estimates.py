"""One model of uncertainty: against scipy, a bootstrap and formulas written out, and what must hold for any data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kws.reports.estimates import (
    Estimate,
    Sample,
    clusters_of,
    from_elsewhere,
    largest_of,
    of_cell,
    of_difference,
    of_means,
    told_from_best,
)
from kws.reports.student import quantile


def crossed(seed: int, n: int, speakers: int, *, spread: float = 0.05):
    """Answers (n, N) that seeds and speakers both move, and the clips' speakers (N,)."""
    draw = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(speakers), draw.integers(1, 9, speakers))
    hard = draw.normal(0, 0.1, speakers)[clusters]
    ease = 0.85 + draw.normal(0, spread, n)[:, None] + hard
    return (draw.random((n, len(clusters))) < ease).astype(float), clusters


def sample(right, clusters, seeds=None) -> Sample:
    return of_means(seeds or range(len(right)), right, clusters, share=True)


# Cells


def test_seeds_alone_have_students_interval():
    values = np.array([3.0, 5.0, 4.5, 7.0])
    estimate = of_cell(Sample((0, 1, 2, 3), values, None))
    assert estimate.interval() == pytest.approx(stats.t.interval(0.95, 3, values.mean(), stats.sem(values)))


def test_one_seed_with_single_clips_has_the_error_of_a_share():
    right = (np.arange(400) >= 40).astype(float)[None]
    estimate = of_cell(sample(right, np.arange(400)))
    assert (estimate.n, estimate.one_seed) == (1, None)
    assert estimate.variance == pytest.approx(0.9 * 0.1 / 399)
    assert estimate.freedom == pytest.approx(399)


def test_clips_of_one_speaker_that_go_together_count_as_one():
    alone = of_cell(sample(np.array([[0.0, 1, 1, 1] * 25]), np.arange(100)))
    together = of_cell(sample(np.repeat([[0.0, 1, 1, 1] * 25], 6, axis=1), np.repeat(np.arange(100), 6)))
    assert together.variance == pytest.approx(alone.variance)


def test_the_error_is_that_of_a_bootstrap_of_both_seeds_and_speakers():
    """Resampling both factors counts the interaction in each, so it is compared with the sum, not the difference."""
    right, clusters = crossed(1, 12, 150)
    estimate = of_cell(sample(right, clusters))
    draw = np.random.default_rng(0)
    sums = np.stack([np.bincount(clusters, row) for row in right])
    sizes = np.bincount(clusters)
    means = []
    for _ in range(4_000):
        seeds, speakers = draw.integers(12, size=12), draw.integers(150, size=150)
        means.append(sums[np.ix_(seeds, speakers)].sum() / (12 * sizes[speakers].sum()))
    wanted = estimate.of_clusters + estimate.of_seeds * 11 / 12 + estimate.of_both * 11 / 12
    assert np.var(means) == pytest.approx(wanted, rel=0.1)


@given(st.integers(0, 30), st.integers(1, 5), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_an_interval_of_a_share_holds_its_mean_and_stays_within_0_and_1(seed, n, speakers):
    right, clusters = crossed(seed, n, speakers, spread=0.3)
    estimate = of_cell(sample(right, clusters))
    low, high = estimate.proportion_interval()
    assert 0 <= low <= estimate.value <= high <= 1
    wider = estimate.proportion_interval(0.99)
    assert wider[0] <= low and high <= wider[1]


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_answers_that_are_all_alike_prove_no_more_than_their_clips(share, n):
    low, high = of_cell(sample(np.full((n, 50), share), np.arange(50))).proportion_interval()
    theirs = stats.binomtest(int(50 * share), 50).proportion_ci(method="wilson")
    assert (low, high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_two_seeds_that_happen_to_agree_do_not_pretend_to_many_degrees_of_freedom():
    right, clusters = crossed(3, 1, 200)
    twice = of_cell(sample(np.repeat(right, 2, axis=0), clusters))
    assert twice.of_seeds == 0
    assert twice.freedom <= 4


def test_clusters_are_speakers_and_the_same_sound_is_never_two():
    assert clusters_of(4, ("a", "b", "a", "c"), None).tolist() == [0, 1, 0, 2]
    assert clusters_of(3, None, None).tolist() == [0, 1, 2]
    assert clusters_of(4, None, [b"x", b"y", b"x", b"z"]).tolist() == [0, 1, 0, 2]
    assert clusters_of(4, ("a", "b", "b", "c"), [b"x", b"y", b"x", b"z"]).tolist() == [0, 0, 0, 1]
    assert clusters_of(0, None, None).tolist() == []


def test_an_error_of_rounding_is_none():
    """Cells of equal answers have the same interval, however their influences were added up."""
    share = 0.7
    exact, rounded = (
        Estimate(
            value=share, n=3, clusters=9, one_seed=error, of_seeds=error, of_clusters=error, of_both=0.0,
            seed_freedom=2.0, clips=40,
        )
        for error in (0.0, 1e-33)
    )  # fmt: skip
    assert exact.proportion_interval() == rounded.proportion_interval()
    assert math.isinf(rounded.freedom)


# Differences


def test_a_paired_difference_is_the_mean_of_the_differences():
    (one, clusters), (other, _) = crossed(5, 6, 80), crossed(6, 6, 80)
    other = other[:, : one.shape[1]] if other.shape[1] >= one.shape[1] else np.tile(other, 2)[:, : one.shape[1]]
    paired = of_difference(sample(one, clusters), sample(other, clusters), paired=True)
    alone = of_cell(of_means(range(6), one - other, clusters))
    for name in ("value", "variance", "of_seeds", "of_clusters", "of_both", "freedom", "one_seed"):
        assert getattr(paired, name) == pytest.approx(getattr(alone, name), abs=1e-12), name


def test_seeds_drawn_apart_add_their_variances_as_welch_does():
    one, other = (
        Sample((0, 1, 2), np.array([0.8, 0.9, 0.85]), None),
        Sample((0, 1, 2, 3), np.array([0.7, 0.6, 0.75, 0.9]), None),
    )
    theirs = stats.ttest_ind(one.values, other.values, equal_var=False)
    found = of_difference(one, other, paired=False)
    assert found.p() == pytest.approx(theirs.pvalue)
    assert found.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)))


def test_pairing_partly_shared_seeds_lies_between_pairing_all_and_none():
    draw = np.random.default_rng(0)
    shared = draw.normal(0, 0.02, 40)
    one = Sample(tuple(range(40)), 0.9 + shared + draw.normal(0, 0.005, 40), None)
    other = Sample(tuple(range(10)), 0.8 + shared[:10] + draw.normal(0, 0.005, 10), None)
    paired, apart = (of_difference(one, other, paired=paired) for paired in (True, False))
    assert 0 < paired.variance < apart.variance
    assert paired.value == apart.value == pytest.approx(one.values.mean() - other.values.mean())


def test_a_single_seed_borrows_the_variance_of_the_other_cell_and_no_more_freedom_than_that_has():
    many, one = Sample((0, 1, 2), np.array([0.8, 0.9, 0.85]), None), Sample((7,), np.array([0.5]), None)
    for found in (of_difference(many, one, paired=False), of_difference(one, many, paired=False)):
        assert found.of_seeds == pytest.approx(np.var([0.8, 0.9, 0.85], ddof=1) * (1 + 1 / 3))
        assert found.n == 1
        assert found.seed_freedom == found.freedom == 2


@pytest.mark.parametrize(("seeds", "others"), [(20, range(18, 28)), (5, range(3, 8)), (40, range(20)), (20, range(5))])
@pytest.mark.parametrize("r", [0.0, 0.7])
def test_seeds_that_are_partly_shared_are_worth_all_that_both_cells_have(seeds, others, r):
    """2 shared ones of 20 and 10 once left a single degree of freedom, and intervals six times as wide."""
    draw = np.random.default_rng(0)
    covered, widths, values = 0, [], []
    for _ in range(800):
        first, rest = draw.normal(size=(2, 40))
        second = r * first + math.sqrt(1 - r * r) * rest
        sides = [Sample(tuple(own), side[list(own)], None) for own, side in ((range(seeds), first), (others, second))]
        found = of_difference(*sides, paired=True)
        low, high = found.interval()
        covered += low <= 0 <= high
        widths.append(high - low)
        values.append(found.value)
    assert 0.93 <= covered / 800 <= 0.985
    assert np.mean(widths) / (2 * 1.96 * np.std(values)) < 1.45


def test_few_seeds_that_go_together_by_chance_do_not_make_a_difference_sure():
    """Their covariance is no larger than the variances of all seeds allow."""
    one = Sample((0, 1, 2, 3), np.array([0.80, 0.90, 0.851, 0.852]), None)
    other = Sample((0, 1, 7, 8), np.array([0.60, 0.72, 0.661, 0.662]), None)
    found = of_difference(one, other, paired=True)
    least = (one.values.std(ddof=1) - other.values.std(ddof=1)) ** 2
    assert found.one_seed == pytest.approx(least)
    assert found.of_seeds > 0 and found.p() > 0


def test_what_does_not_differ_anywhere_is_not_told_apart_and_what_always_does_is():
    same = np.array([[1.0, 0, 1, 1]])
    assert of_difference(sample(same, np.arange(4)), sample(same, np.arange(4)), paired=True).p() == 1
    all_right, all_wrong = sample(np.ones((2, 9)), np.arange(9)), sample(np.zeros((2, 9)), np.arange(9))
    assert of_difference(all_right, all_wrong, paired=True).p() == 0


def test_a_difference_of_which_no_error_is_known_is_not_sure():
    one, other = Sample((0,), np.array([0.9]), None), Sample((0,), np.array([0.5]), None)
    assert of_difference(one, other, paired=True).p() == 1


def test_two_seeds_that_differ_alike_do_not_pretend_to_many_degrees_of_freedom():
    right, clusters = crossed(3, 1, 200)
    other, _ = crossed(3, 1, 200, spread=0.4)
    twice, again = (sample(np.repeat(each, 2, axis=0), clusters) for each in (right, other))
    for paired in (True, False):
        found = of_difference(twice, again, paired=paired)
        assert found.of_seeds == 0
        assert found.freedom <= 4


def test_another_runs_figure_brings_a_seed_and_clips_of_its_own():
    right, clusters = crossed(7, 5, 100)
    ours = of_cell(sample(right, clusters))
    apart = from_elsewhere(ours, 0.8)
    assert apart.value == pytest.approx(ours.value - 0.8)
    clips = 2 * ours.of_clusters - ours.of_both
    assert apart.variance == pytest.approx(clips + max(ours.one_seed / 5 + ours.one_seed - ours.of_both, 0))
    assert apart.variance > ours.variance


def test_figures_of_more_runs_and_clips_elsewhere_have_as_much_less_of_an_error():
    right, clusters = crossed(7, 5, 100)
    ours = of_cell(sample(right, clusters))
    clips = ours.of_clusters - ours.of_both
    there = from_elsewhere(ours, 0.8, seeds=4, deviation=0.02, clips=10.0)
    assert there.variance == pytest.approx(
        ours.of_clusters + clips / 10 + max(ours.of_seeds + 0.02**2 / 4 - ours.of_both, 0.0)
    )
    alike = from_elsewhere(ours, 0.8, seeds=5)
    assert alike.variance == pytest.approx(ours.of_clusters + clips + max(2 * ours.of_seeds - ours.of_both, 0.0))


# Power


def estimate(value: float, one_seed: float, of_clusters: float, n: int = 5) -> Estimate:
    return Estimate(
        value=value, n=n, clusters=200, one_seed=one_seed, of_seeds=one_seed / n, of_clusters=of_clusters, of_both=0.0,
        seed_freedom=n - 1.0,
    )  # fmt: skip


def test_what_could_have_been_found_is_found_in_four_of_five_tries():
    made = estimate(0.0, 0.0, 0.01**2)
    distance = made.detectable()
    draw = np.random.default_rng(0)
    found = np.abs(draw.normal(distance, 0.01, 20_000)) > quantile(0.95, made.freedom) * 0.01
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("count", [2, 3, 6, 50])
def test_the_expected_largest_of_normal_numbers(count):
    drawn = np.random.default_rng(count).normal(size=(40_000, count)).max(axis=1)
    assert largest_of(count) == pytest.approx(drawn.mean(), abs=0.02)


# The best


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_seeds_that_happen_to_vary_little_do_not_pretend_to_many_degrees_of_freedom(n):
    made = estimate(0.05, 0.001**2, 0.01**2, n)
    ratio = made.value / made.standard_error
    assert (made.freedom == 4) == (n == 2)
    assert made.p() == pytest.approx(2 * stats.t.sf(ratio, made.freedom))
    assert made.p_of_tie() == pytest.approx(2 * stats.t.sf(ratio, 2.5 * (n - 1)))
    assert told_from_best({"a": 0.9, "b": 0.85}, {("a", "b"): made}) == {"b": made.p_of_tie()}


def test_two_seeds_beside_many_have_no_more_freedom_than_two():
    draw = np.random.default_rng(0)
    two = Sample((0, 1), np.array([0.8, 0.80001]), None)
    many = Sample(tuple(range(2, 22)), 0.8 + draw.normal(0, 0.01, 20), None)
    for found in (of_difference(two, many, paired=False), of_difference(many, two, paired=False)):
        assert found.seed_freedom > 10
        assert found.freedom == 4


def test_the_clearly_worse_are_told_from_the_best_and_the_close_are_not():
    means = {"a": 0.95, "b": 0.94, "c": 0.80}
    differences = {
        (one, other): estimate(means[one] - means[other], 0.005**2, 0.006**2)
        for one, other in (("b", "a"), ("a", "c"), ("c", "b"))
    }
    p = told_from_best(means, differences)
    assert set(p) == {"b", "c"}
    assert p["c"] < 0.001 < 0.05 < p["b"] <= 1


def test_of_equal_cells_all_six_stay_in_all_but_one_table_of_twenty():
    draw = np.random.default_rng(0)
    wrong = 0
    for _ in range(600):
        values = draw.normal(0.9, 0.01, 6)
        means = dict(enumerate(values))
        made = {(i, j): estimate(values[i] - values[j], 0.0, 2 * 0.01**2) for i in range(6) for j in range(i + 1, 6)}
        wrong += min(told_from_best(means, made).values()) <= 0.05
    assert wrong / 600 <= 0.06
