"""Intervals over the clips of one evaluation, against scipy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kws.reports.statistics import over_clips


@given(st.integers(1, 2_000).flatmap(lambda clips: st.tuples(st.integers(0, clips), st.just(clips))))
@settings(max_examples=80, deadline=None)
def test_an_interval_over_clips_is_scipys_wilson(counts):
    right, clips = counts
    theirs = stats.binomtest(right, clips).proportion_ci(method="wilson")
    interval = over_clips(right, clips)
    assert (interval.low, interval.high) == (pytest.approx(theirs.low, abs=1e-9), pytest.approx(theirs.high, abs=1e-9))
    assert 0 <= interval.low <= right / clips <= interval.high <= 1


def test_without_clips_everything_is_possible():
    interval = over_clips(0, 0)
    assert (interval.low, interval.high) == (0.0, 1.0)
