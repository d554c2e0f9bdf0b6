"""The sweep over all thresholds gives at each what the plain detector gives there."""

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kws.inference import sweeping
from kws.inference.detections import Detecting
from kws.inference.matching import tallies
from kws.inference.stream_labels import Window

WORDS = ("yes", "no", "other")


def made_up(seed: int, hops: int, words: int) -> tuple[np.ndarray, list[Window]]:
    """Averages (H, 3) with words, near misses and noise in them, and when the words are said."""
    draw = np.random.default_rng(seed)
    averages = np.full((hops, 3), 1e-4, np.float32)
    said = []
    for begin in draw.integers(0, max(hops - 70, 1), words).tolist():
        word, length, sure = int(draw.integers(2)), int(draw.integers(1, 70)), draw.normal(3, 4)
        averages[begin : begin + length, word] = 1 / (1 + np.exp(-sure - draw.normal(0, 1, length)))[: hops - begin]
        if draw.random() < 0.6:
            said.append(Window(begin / 50, begin / 50 + 0.5, WORDS[word]))
    return averages, said


@given(st.integers(0, 10_000), st.integers(60, 900), st.integers(0, 25), st.sampled_from([0, 200, 1000, 1500]))
@settings(max_examples=40, deadline=None)
def test_a_sweep_is_the_detector_at_every_threshold(seed, hops, words, cooldown_ms):
    averages, said = made_up(seed, hops, words)
    reached = sweeping.Candidates(WORDS, WORDS[:2])
    for piece in np.array_split(averages, 3):
        reached.push(piece)
    assert reached.hops_seen == hops
    *each, every = sweeping.curves(reached, said, cooldown_ms=cooldown_ms)
    assert [curve.word for curve in (*each, every)] == ["yes", "no", None]
    for curve in (*each, every):
        keywords = WORDS[:2] if curve.word is None else (curve.word,)
        own = [window for window in said if window.word in keywords]
        for place in (0, 37, 140, 200, 237, 300, 380):
            thresholds = dict.fromkeys(keywords, curve.thresholds[place])
            found = Detecting(WORDS, thresholds, cooldown_ms=cooldown_ms).push(averages)
            tally = tallies(found, own, keywords)[0][-1]
            assert (curve.said, curve.misses[place]) == (tally.said, tally.misses)
            assert curve.false_accepts[place] == len(tally.false_accepts)


def test_thresholds_rise_and_are_told_apart_in_the_precision_of_probabilities():
    assert (np.diff(np.array(sweeping.THRESHOLDS, np.float32)) > 0).all()
    assert 300 < len(sweeping.THRESHOLDS) < 500


def test_a_stream_in_which_nothing_is_heard_has_curves_of_misses_alone():
    reached = sweeping.Candidates(WORDS, WORDS[:2])
    reached.push(np.zeros((500, 3), np.float32))
    for curve in sweeping.curves(reached, [Window(1, 2, "yes")], cooldown_ms=1000):
        assert set(curve.misses) == {int(curve.word != "no")} and set(curve.false_accepts) == {0}


def test_one_keyword_has_no_curve_of_all_beside_its_own():
    reached = sweeping.Candidates(("yes", "other"), ("yes",))
    assert [curve.word for curve in sweeping.curves(reached, [], cooldown_ms=1000)] == ["yes"]


def test_an_hour_is_swept_in_seconds():
    averages, said = made_up(1, 180_000, 1500)
    reached = sweeping.Candidates(WORDS, WORDS[:2])
    reached.push(averages)
    began = time.process_time()
    sweeping.curves(reached, said, cooldown_ms=1000)
    assert time.process_time() - began < 10  # 2.5 where nothing else runs; a detector for each threshold takes 300
