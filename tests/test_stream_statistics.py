"""What a stream shows: exact Poisson intervals against scipy, and a threshold that holds its target."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kws.errors import DataError
from kws.reports.streams import DetCurve, FalseAccepts, Point, require_enough, threshold_for


@given(st.integers(0, 500), st.floats(0.01, 100))
@settings(max_examples=100, deadline=None)
def test_intervals_of_a_rate_are_where_so_many_events_become_improbable(events, hours):
    found = FalseAccepts(events, hours)
    low, high = found.interval.low, found.interval.high
    assert stats.poisson.cdf(events, high * hours) == pytest.approx(0.025, rel=1e-6)
    assert stats.poisson.cdf(events, found.at_most * hours) == pytest.approx(0.05, rel=1e-6)
    if events:
        assert stats.poisson.sf(events - 1, low * hours) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0
    assert low <= found.per_hour <= found.at_most <= high


def test_no_event_proves_the_rule_of_three():
    assert FalseAccepts(0, 2.0).at_most == pytest.approx(-math.log(0.05) / 2)
    assert FalseAccepts(0, 1.0).at_most == pytest.approx(3, abs=0.005)


def test_no_time_shows_nothing():
    found = FalseAccepts(0, 0.0)
    assert math.isnan(found.per_hour) and found.at_most == math.inf
    assert found.record()["per_hour"] is None


def curve(*false_accepts: int, hours: float = 10.0) -> DetCurve:
    count = len(false_accepts)
    thresholds = tuple((np.arange(count) + 1) / (count + 1))
    return DetCurve(word=None, thresholds=thresholds, said=100, misses=tuple(range(count)),
                    false_accepts=false_accepts, hours=hours)  # fmt: skip


def test_a_threshold_is_the_lowest_from_which_on_the_bound_holds():
    found = threshold_for(0.7, curve(90, 2, 9, 2, 1, 0), "a stream")
    assert found.misses == 3  # two events in ten hours prove at most 0.63 an hour
    assert threshold_for(0.6, curve(90, 2, 9, 2, 1, 0), "a stream").misses == 4
    assert threshold_for(0.35, curve(90, 2, 9, 2, 1, 0), "a stream").misses == 5


def test_a_target_that_so_little_audio_cannot_show_is_refused_with_the_bound():
    with pytest.raises(DataError, match=r"0\.29.*10\.00 h of a stream.*at most 0\.30 an hour.*10\.3 h or more"):
        threshold_for(0.29, curve(5, 0), "a stream")
    require_enough(0.3, 10.0, "a stream")


def test_a_target_that_no_threshold_holds_is_refused_with_what_the_highest_does():
    with pytest.raises(DataError, match=r"no threshold is shown to hold 0\.5.*there are 4 in 10\.00 h.*at most 0\.92"):
        threshold_for(0.5, curve(9, 4), "a stream")


@pytest.mark.parametrize("rate", [0.8, 2.0])
def test_a_threshold_that_does_not_hold_its_target_is_chosen_in_one_stream_of_twenty_at_most(rate):
    """Each threshold's true rate is a little higher than that of the next: many are tried, and the 95 % still hold."""
    draw = np.random.default_rng(3)
    rates = rate * np.linspace(2, 0.2, 60)  # an hour, falling with the threshold
    hours, target, wrong, streams = 10.0, rate, 0, 2_000
    for _ in range(streams):
        # Events have a score each; those above the threshold are accepted, so that counts are nested as in a stream.
        scores = np.sort(draw.uniform(0, rates[0], draw.poisson(rates[0] * hours)))
        events = np.searchsorted(scores, rates, side="right")
        found = curve(*events.tolist(), hours=hours).shown_to_hold(target)
        wrong += found is not None and rates[found.misses] > target
    assert wrong / streams < 0.05 + 3 * math.sqrt(0.05 * 0.95 / streams)


def test_levels_are_the_lowest_thresholds_with_no_more_false_accepts():
    found = dict(curve(100, 30, 12, 6, 3, 0).levels())
    assert found[0.0].misses == 5 and found[0.5].misses == 4 and found[1.0].misses == 3 and found[5.0].misses == 1
    assert 10.0 in found and 20.0 not in found  # nothing changes any more


def test_a_word_that_was_not_said_has_no_rate_of_misses():
    point = Point(word="yes", threshold=0.5, said=0, misses=0, false_accepts=FalseAccepts(1, 1.0))
    assert point.record()["miss_rate"] is None


def test_a_figure_has_a_line_and_a_band_for_each_word_that_was_said():
    from kws.reports import stream_figure
    from kws.reports.drawing import SCREEN

    found = curve(9, 4, 6, 4, 0)  # misses 0 to 4
    assert stream_figure.fewest_misses(found) == [(0, 4), (4, 1), (9, 0)]
    unsaid = DetCurve(word="no", thresholds=(0.5,), said=0, misses=(0,), false_accepts=(3,), hours=10.0)
    points = [found.point(1)]
    (axes,) = stream_figure.figure([found, unsaid], points, "a stream", SCREEN).axes
    line, marker, bound = axes.get_lines()
    assert line.get_xdata().tolist() == pytest.approx([0.04, 0.4, 0.9])  # no event stands left of all
    assert line.get_ydata().tolist() == [4, 1, 0]
    assert (marker.get_xdata()[0], marker.get_ydata()[0]) == (0.4, 1)
    assert bound.get_xdata()[0] == pytest.approx(0.3, abs=0.001)
    assert len(axes.collections) == 1
    (empty,) = stream_figure.figure([unsaid], [], "a stream", SCREEN).axes
    assert not empty.get_lines()


def test_a_figure_of_many_words_has_a_marker_a_word():
    from kws.reports import stream_figure
    from kws.reports.drawing import PAPER, caption

    found = [dataclasses.replace(curve(9, 4, 6, 4, 0), word=f"word {number}") for number in range(6)]
    drawn = stream_figure.figure(found, [each.point(1) for each in found], "a stream", PAPER)
    *handles, _ = drawn.legends[0].legend_handles
    looks = {(handle.get_color(), handle.get_linestyle(), handle.get_marker()) for handle in handles}
    assert len(looks) == len({marker for _, _, marker in looks}) == 6
    assert caption(drawn) == "a stream" and drawn.get_suptitle() == ""
