"""Temperature and thresholds, against scipy's optimizer and against counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as reference

from kws.inference import calibration


def answers(seed, clips=200):
    random = np.random.default_rng(seed)
    labels = random.integers(3, size=clips)
    logits = random.normal(size=(clips, 3)) * random.uniform(0.5, 4)
    logits[np.arange(clips), labels] += 2
    return logits, labels


def test_softmax_is_scipys():
    logits, _ = answers(0)
    assert calibration.softmax(logits, 0.5) == pytest.approx(reference(logits / 0.5, axis=1))


@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_the_likeliest(seed):
    logits, labels = answers(seed)

    def surprise(temperature):
        logarithms = log_softmax(logits / temperature, axis=1)
        seen = logarithms[np.arange(len(labels)), labels] * len(labels)
        return -(seen + logarithms.sum(axis=1)).mean() / (len(labels) + 3)

    best = minimize_scalar(surprise, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6}).x
    assert calibration.temperature(logits, labels) == pytest.approx(best, rel=1e-3)


def test_answers_that_are_all_right_do_not_make_the_network_infallible():
    logits, labels = np.tile(50.0 * np.eye(3), (10, 1)), np.tile(np.arange(3), 10)
    found = calibration.softmax(logits, calibration.temperature(logits, labels))
    assert found.max(axis=1) == pytest.approx(31 / 33, abs=1e-3)  # one more of each class


@settings(deadline=None)
@given(seed=st.integers(0, 1000), clips=st.integers(1, 120), rate=st.floats(0, 0.5))
def test_a_threshold_is_the_highest_that_misses_no_more_than_it_may(seed, clips, rate):
    logits, labels = answers(seed, clips)
    probabilities = calibration.softmax(logits)
    found = calibration.thresholds(probabilities, labels, ("yes", "no", "other"), ("yes", "no"), rate)
    for k, word in enumerate(("yes", "no")):
        own = probabilities[labels == k, k]
        if not len(own):
            assert word not in found
            continue
        assert (own < found[word]).mean() <= rate + 1e-9
        if not 0 < rate * len(own) < 1:
            assert (own <= found[word]).mean() > rate - 1e-9  # one step higher would miss too many


def test_a_threshold_of_few_clips_is_between_them_and_the_others():
    probabilities = np.array([[0.9, 0.1], [0.999, 0.001], *[[0.1, 0.9]] * 99, [0.8, 0.2]])
    labels = np.array([0, 0, *[1] * 100])
    found = calibration.thresholds(probabilities, labels, ("lamp", "other"), ("lamp",))
    assert found["lamp"] == pytest.approx(0.857, abs=1e-3)  # odds of 6, between 4 and 9
    assert calibration.thresholds(probabilities, labels, ("lamp", "other"), ("lamp",), 0.0)["lamp"] == 0.9
    louder = np.array([[0.9, 0.1], [0.95, 0.05], [0.02, 0.98]])
    assert calibration.thresholds(louder, np.array([0, 1, 1]), ("lamp", "other"), ("lamp",))["lamp"] == 0.9
