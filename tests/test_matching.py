"""Which detections hear which words: as many as can be, against scipy's matching; false accepts by their rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from kws.inference import matching
from kws.inference.detections import Detection
from kws.inference.matching import Matcher, events, tallies
from kws.inference.stream_labels import Window

windows = st.lists(
    st.builds(
        lambda start, length, word: Window(start / 50, (start + length) / 50, word),
        st.integers(0, 400), st.integers(1, 80), st.sampled_from(["yes", "no"]),
    ),
    max_size=12,
)  # fmt: skip
detections = st.lists(st.tuples(st.integers(0, 600), st.sampled_from(["yes", "no", "up"])), max_size=15).map(
    lambda found: [Detection(hop / 50, word, 0.9) for hop, word in sorted(found)]
)


@given(windows, detections)
@settings(max_examples=300, deadline=None)
def test_as_many_words_are_heard_as_can_be_each_by_a_detection_of_its_own(said, found):
    hears = Matcher(said).match([each.seconds for each in found], [each.word for each in found])
    pairs = [place for place in hears if place is not None]
    assert len(set(pairs)) == len(pairs)
    may = np.zeros((len(found), len(said)), int)
    for i, each in enumerate(found):
        for j, window in enumerate(said):
            may[i, j] = each.word == window.word and window.start - 1e-9 <= each.seconds <= window.stop + 1 + 1e-9
    assert all(may[i, place] for i, place in enumerate(hears) if place is not None)
    most = (maximum_bipartite_matching(csr_array(may), perm_type="column") >= 0).sum() if may.size else 0
    assert len(pairs) == most


def test_a_word_may_be_detected_until_a_second_after_its_end_and_no_longer():
    said = [Window(3.0, 3.5, "yes")]
    for at, heard in [(2.98, None), (3.0, 0), (4.5, 0), (4.52, None)]:
        assert Matcher(said).match([at], ["yes"]) == [heard]
    assert Matcher(said).match([3.2], ["no"]) == [None]


def test_a_word_is_heard_once_and_what_hears_it_again_is_a_false_accept():
    found = [Detection(3.2, "yes", 0.9), Detection(4.2, "yes", 0.9), Detection(4.4, "no", 0.9)]
    (yes, no, every), hears = tallies(found, [Window(3.0, 3.5, "yes")], ("yes", "no"))
    assert hears == [0, None, None]
    assert (yes.said, yes.misses, yes.false_accepts) == (1, 0, (4.2,))
    assert (no.said, no.misses, no.false_accepts) == (0, 0, (4.4,))
    assert (every.said, every.misses, every.false_accepts) == (1, 0, (4.2,))  # within a second: one event


@pytest.mark.parametrize(
    ("seconds", "begun"),
    [([], []), ([1.0, 1.5, 1.98], [1.0]), ([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.9, 2.8, 3.7], [1.0, 2.8])],
)
def test_an_event_takes_in_a_second_from_its_beginning(seconds, begun):
    assert events(seconds) == begun


def test_a_detector_that_never_stops_has_an_event_a_second():
    assert len(events([hop / 50 for hop in range(50 * 60)])) == 60


@given(windows, st.integers(0, 600))
@settings(max_examples=100, deadline=None)
def test_a_second_is_explained_by_a_label_where_they_overlap(said, hop):
    at = hop / 50
    overlaps = any(window.start <= at + 1e-9 and at - 1 <= window.stop + 1e-9 for window in said)
    assert matching.explained(np.array([at]), said).tolist() == [overlaps]
