"""Intervals and tests against scipy, and what they must do whatever the numbers are."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kws.reports.inference import holm, over_clips, over_seeds, paired, student_quantile


@pytest.mark.parametrize("freedom", [*range(1, 60), 99, 100, 999, 5_000])
def test_students_quantile_is_scipys(freedom):
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-10)


@given(st.lists(st.integers(0, 1229).map(lambda right: right / 1229), min_size=2, max_size=12))
@settings(max_examples=50, deadline=None)
def test_an_interval_over_seeds_is_scipys(values):
    interval = over_seeds(values)
    spread = statistics.stdev(values)
    if spread == 0:
        assert interval.low == interval.high == statistics.mean(values)
    else:
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (interval.low, interval.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert interval.over == "seeds"


@given(st.integers(1, 2_000).flatmap(lambda clips: st.tuples(st.integers(0, clips), st.just(clips))))
@settings(max_examples=80, deadline=None)
def test_an_interval_over_clips_is_scipys_wilson(counts):
    right, clips = counts
    theirs = stats.binomtest(right, clips).proportion_ci(method="wilson")
    interval = over_clips(right, clips)
    assert (interval.low, interval.high) == (pytest.approx(theirs.low, abs=1e-9), pytest.approx(theirs.high, abs=1e-9))
    assert 0 <= interval.low <= right / clips <= interval.high <= 1


def answers(rng, labels, accuracy):
    wrong = rng.random(len(labels)) > accuracy
    return bytes((label + wrong[i]) % 3 for i, label in enumerate(labels))


LABELS = bytes(i % 3 for i in range(400))


def test_cells_are_compared_as_by_scipys_paired_t_tests():
    rng = np.random.default_rng(0)
    first = {seed: answers(rng, LABELS, 0.93) for seed in (0, 1, 2, 7)}
    second = {seed: answers(rng, LABELS, 0.85) for seed in (2, 1, 0, 9)}
    pair = paired(first, second, LABELS)
    truth = np.frombuffer(LABELS, np.uint8)
    right = [
        np.array([np.frombuffer(side[seed], np.uint8) == truth for seed in (0, 1, 2)], float)
        for side in (first, second)
    ]
    by_seed = stats.ttest_rel(right[0].mean(1), right[1].mean(1))
    by_clip = stats.ttest_rel(right[0].mean(0), right[1].mean(0))
    assert pair.p == pytest.approx(max(by_seed.pvalue, by_clip.pvalue), rel=1e-9)
    assert pair.difference == pytest.approx(right[0].mean() - right[1].mean(), abs=1e-12)
    assert (pair.seeds, pair.clips) == (3, 400)
    assert pair.interval.low < pair.difference < pair.interval.high
    low, high = by_seed.confidence_interval(0.95)
    assert (pair.interval.low, pair.interval.high) == (pytest.approx(low), pytest.approx(high))


def test_with_one_seed_in_common_only_the_clips_can_tell():
    rng = np.random.default_rng(1)
    first, second = {0: answers(rng, LABELS, 0.95)}, {0: answers(rng, LABELS, 0.8), 1: answers(rng, LABELS, 0.1)}
    pair = paired(first, second, LABELS)
    truth = np.frombuffer(LABELS, np.uint8)
    right = [(np.frombuffer(side[0], np.uint8) == truth).astype(float) for side in (first, second)]
    assert pair.p == pytest.approx(stats.ttest_rel(*right).pvalue, rel=1e-9)
    assert (pair.seeds, pair.interval.over) == (1, "clips")


def test_without_a_seed_in_common_nothing_can_be_told():
    assert paired({0: LABELS}, {1: LABELS}, LABELS) is None


def test_the_same_answers_cannot_be_told_apart_and_make_no_noise(recwarn):
    for seeds in ([0], [0, 1, 2]):
        same = dict.fromkeys(seeds, LABELS)
        assert paired(same, same, LABELS).p == 1.0
    assert not recwarn.list


def test_the_order_of_two_cells_only_turns_the_difference_round():
    rng = np.random.default_rng(2)
    first = {seed: answers(rng, LABELS, 0.9) for seed in range(3)}
    second = {seed: answers(rng, LABELS, 0.88) for seed in range(3)}
    one, other = paired(first, second, LABELS), paired(second, first, LABELS)
    assert one.p == pytest.approx(other.p)
    assert one.difference == pytest.approx(-other.difference)


def test_a_test_over_clips_alone_is_not_enough_where_seeds_disagree():
    """One seed's luck makes a difference over the clips that training again would not."""
    truth = bytearray(LABELS)
    worse = bytes((label + (i < 80)) % 3 for i, label in enumerate(truth))
    pair = paired({0: LABELS, 1: LABELS, 2: LABELS}, {0: worse, 1: LABELS, 2: LABELS}, LABELS)
    assert pair.p > 0.3


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(max_examples=60, deadline=None)
def test_holms_p_is_by_its_definition(values):
    adjusted = holm(values)
    for i, p in enumerate(values):
        smaller = [
            (len(values) - rank) * values[j]
            for rank, j in enumerate(sorted(range(len(values)), key=values.__getitem__))
            if values[j] <= p
        ]
        assert adjusted[i] >= p
        assert adjusted[i] == pytest.approx(min(1.0, max(smaller)))
