"""Smoothing and detecting do the same whatever pieces a stream comes in, and what their rules say."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kws.inference.detections import Detecting, Smoothing

WORDS = ("yes", "no", "other")
levels = st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9])
streams = st.lists(st.tuples(levels, levels, levels), min_size=1, max_size=160).map(
    lambda rows: np.array(rows, np.float32)
)


def by_the_rules(averages: np.ndarray, thresholds: dict[str, float], cooldown: int) -> list[tuple[int, str]]:
    """Hop after hop: the most probable word that reaches its threshold, if that is allowed again."""
    found, last, was_below = [], None, True
    for hop, row in enumerate(averages):
        reached = [k for k, word in enumerate(WORDS) if word in thresholds and row[k] >= np.float32(thresholds[word])]
        if not reached:
            was_below = True
        elif was_below and (last is None or hop - last >= cooldown):
            found.append((hop, WORDS[max(reached, key=lambda k: (row[k], -k))]))
            last, was_below = hop, False
    return found


@given(streams, levels.filter(bool), levels.filter(bool), st.integers(0, 60), st.lists(st.integers(0, 160), max_size=4))
@settings(max_examples=200, deadline=None)
def test_detections_follow_the_rules_in_any_pieces(averages, yes, no, cooldown, cuts):
    thresholds = {"yes": yes, "no": no}
    detecting = Detecting(WORDS, thresholds, cooldown_ms=20 * cooldown)
    found = [each for piece in np.split(averages, sorted(cuts)) for each in detecting.push(piece)]
    expected = by_the_rules(averages, thresholds, cooldown)
    assert [(round(each.seconds * 50) - 1, each.word) for each in found] == expected
    for each, (hop, word) in zip(found, expected, strict=True):
        assert each.probability == averages[hop, WORDS.index(word)]


def test_a_word_that_stays_is_detected_once():
    averages = np.zeros((500, 3), np.float32)
    averages[100:300, 0] = 0.9  # for four cooldowns
    averages[301:310, 0] = 0.9
    found = Detecting(WORDS, {"yes": 0.5}, cooldown_ms=1000).push(averages)
    assert [each.seconds for each in found] == [2.02, 6.04]


@given(streams, st.integers(1, 20), st.lists(st.integers(0, 160), max_size=4))
@settings(max_examples=60, deadline=None)
def test_smoothing_is_a_moving_average_that_begins_with_zeros(probabilities, hops, cuts):
    smoothing = Smoothing(3, 20 * hops)
    found = np.concatenate([smoothing.push(piece) for piece in np.split(probabilities, sorted(cuts))])
    for k in range(3):
        expected = np.convolve(probabilities[:, k], np.full(hops, 1 / hops))[: len(probabilities)]
        np.testing.assert_allclose(found[:, k], expected, atol=1e-6)
