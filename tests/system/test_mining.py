"""The worst false accepts: most probable first, a second apart, none that holds a labelled word."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kws.inference import mining
from kws.inference.stream_labels import Window
from kws.inference.sweeping import Candidates

WORDS = ("yes", "no", "other")


@given(st.integers(0, 10_000), st.integers(0, 4), st.one_of(st.none(), st.integers(1, 5)))
@settings(max_examples=60, deadline=None)
def test_the_worst_are_what_a_search_through_all_hops_finds(seed, words, most):
    draw = np.random.default_rng(seed)
    averages = draw.random((400, 3)).astype(np.float32) ** 8
    windows = [Window(at, at + 0.4, "yes") for at in draw.uniform(0, 7, words)]
    thresholds = {"yes": 0.5, "no": 0.3}
    reached = Candidates(WORDS, WORDS[:2], 0.3)
    for piece in np.array_split(averages, 7):
        reached.push(piece)
    left = {}
    for hop, row in enumerate(averages):
        at = (hop + 1) / 50
        own = [row[k] for k, word in enumerate(WORDS[:2]) if row[k] >= np.float32(thresholds[word])]
        if own and not any(window.start <= at + 1e-9 and at <= window.stop + 1 + 1e-9 for window in windows):
            left[at] = max(own)
    expected = []
    while left and (most is None or len(expected) < most):
        expected.append(max(left, key=lambda at: (left[at], -at)))
        left = {at: score for at, score in left.items() if abs(at - expected[-1]) > 1 - 1e-6}
    found = mining.worst(reached, thresholds, windows, most)
    assert [each.seconds for each in found] == expected
    assert all(each.probability >= thresholds[each.word] for each in found)


@given(st.lists(st.integers(1, 200), max_size=6, unique=True), st.integers(1, 30_000))
@settings(max_examples=60, deadline=None)
def test_a_clip_is_the_second_before_its_time_whatever_pieces_the_stream_comes_in(hops, piece):
    stream = np.random.default_rng(0).standard_normal(200 * 320).astype(np.float32)
    pieces = [stream[i : i + piece] for i in range(0, len(stream), piece)]
    found = dict(mining.seconds_before(pieces, [hop / 50 for hop in hops]))
    padded = np.concatenate([np.zeros(16_000, np.float32), stream])
    assert sorted(found) == sorted(hop / 50 for hop in hops)
    for hop in hops:
        np.testing.assert_array_equal(found[hop / 50], padded[hop * 320 : hop * 320 + 16_000])


def test_a_stream_in_which_nothing_is_heard_gives_nothing():
    reached = Candidates(WORDS, WORDS[:2], 0.3)
    reached.push(np.zeros((50, 3), np.float32))
    assert mining.worst(reached, {"yes": 0.5, "no": 0.5}) == []
