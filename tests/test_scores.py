"""ROC, DET, calibration and what is most confident errors, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from kws.events import Evaluation
from kws.reports.scores import Scores

NAMES = ("yes", "no", "up", "other")


def scores(logits, labels, answers=None) -> Scores:
    """As the registry keeps them; the answers are the largest logits before they are rounded, or those given."""
    exact = np.asarray(logits, np.float64)
    predictions = bytes(exact.argmax(axis=1).tolist() if answers is None else answers)
    right = np.mean([a == b for a, b in zip(predictions, labels, strict=True)])
    evaluation = Evaluation(
        split="test",
        loss=None,
        objective=1.0,
        accuracy=float(right),
        predictions=predictions,
        labels=bytes(labels),
        logits=exact.astype("<f2").tobytes(),
    )
    return Scores.of(evaluation, NAMES[: exact.shape[1]])


def drawn(seed: int, clips: int, k: int, *, levels: int = 0) -> Scores:
    """Answers that are often right; with `levels`, so coarse that many are equally sure."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(k, size=clips)
    logits = draw.normal(size=(clips, k)) * 2 + 2.5 * np.eye(k)[labels]
    return scores(np.round(logits * levels) / levels if levels else logits, labels.tolist())


@given(st.integers(0, 10_000), st.integers(8, 120), st.integers(2, 4), st.sampled_from([0, 1, 2]))
@settings(max_examples=25, deadline=None)
def test_curves_and_areas_are_scikit_learns(seed, clips, k, levels):
    made = drawn(seed, clips, k, levels=levels)
    for label in range(k):
        own = made.labels == label
        if own.all() or not own.any():
            continue
        found = made.detection(label)
        # Log-odds order clips as probabilities do; scikit-learn is given what cannot be rounded together.
        score = made.logits[:, label] - np.logaddexp.reduce(np.delete(made.logits, label, axis=1), axis=1)
        false_accepts, hits, thresholds = roc_curve(own, score, drop_intermediate=False)
        at = {*zip(found.false_accept_rates.round(9), (1 - found.miss_rates).round(9), strict=True)}
        # Corners alone, which with the same area make the same curve.
        assert {(0.0, 0.0), (1.0, 1.0)} <= at <= {*zip(false_accepts.round(9), hits.round(9), strict=True)}
        assert found.area == pytest.approx(roc_auc_score(own, score))
        assert np.isinf(found.thresholds[0])
        assert found.thresholds[-1] == pytest.approx(thresholds[-1])


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_equal_error_rate_lies_on_the_curve_where_both_errors_are_equal(seed):
    found = drawn(seed, 60, 3).detection(0)
    misses_there = np.interp(found.equal_error_rate, found.false_accept_rates, found.miss_rates)
    steps = np.diff(found.false_accept_rates) == 0  # a curve may pass the point on its way straight down
    lows, highs = found.miss_rates[1:], found.miss_rates[:-1]
    passes = steps & np.isclose(found.false_accept_rates[1:], found.equal_error_rate)
    inside = (lows[passes] - 1e-9 <= found.equal_error_rate) & (found.equal_error_rate <= highs[passes] + 1e-9)
    assert misses_there == pytest.approx(found.equal_error_rate) or inside.any()


def test_a_network_that_is_always_right_has_no_errors_and_one_that_is_always_wrong_has_nothing_else():
    right = scores(10 * np.eye(3)[[0, 1, 2, 0]], [0, 1, 2, 0]).detection(0)
    assert (right.equal_error_rate, right.area, right.miss_rate_at(0.0)) == (0.0, 1.0, 0.0)
    wrong = scores(10 * np.eye(2)[[1, 0, 1]], [0, 1, 0]).detection(0)
    assert (wrong.equal_error_rate, wrong.area, wrong.miss_rate_at(0.0)) == (1.0, 0.0, 1.0)


def test_one_that_cannot_tell_has_an_equal_error_rate_of_a_half():
    found = scores(np.zeros((6, 3)), [0, 1, 2, 0, 1, 2]).detection(1)
    assert (found.equal_error_rate, found.area) == (0.5, 0.5)
    assert len(found.thresholds) == 2


def test_a_class_without_clips_has_no_rates():
    found = scores(np.eye(3)[[0, 1]], [0, 1]).detection(2)
    assert np.isnan(found.area) and np.isnan(found.equal_error_rate)
    assert found.area_interval is None and found.equal_error_interval is None


def test_misses_at_a_share_of_false_accepts_are_the_least_that_keep_to_it():
    found = scores([[3, 0], [1, 0], [2, 0], [0, 0]], [0, 0, 1, 1]).detection(0)
    assert [found.miss_rate_at(share) for share in (0.0, 0.49, 0.5, 1.0)] == [0.5, 0.5, 0.0, 0.0]


@given(st.integers(0, 10_000), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_briers_score_and_the_bins_are_those_of_scikit_learn_and_of_a_plain_loop(seed, k):
    made = drawn(seed, 80, k)
    calibration = made.calibration()
    truth = np.eye(k)[made.labels]
    assert calibration.brier == pytest.approx(((made.probabilities - truth) ** 2).sum(axis=1).mean())
    if k == 2:
        assert calibration.brier == pytest.approx(2 * brier_score_loss(made.labels, made.probabilities[:, 1]))
    gap = 0.0
    for low in range(10):
        inside = [
            (max(p), answer == label)  # rounded outputs may be equal where the answer was clear
            for p, answer, label in zip(made.probabilities.tolist(), made.answers, made.labels.tolist(), strict=True)
            if low / 10 <= max(p) < (low + 1) / 10 + (low == 9)
        ]
        if inside:
            gap += abs(sum(right for _, right in inside) - sum(p for p, _ in inside)) / len(made.labels)
    assert calibration.expected_error == pytest.approx(gap)
    assert sum(b.clips for b in calibration.bins) == 80


def test_intervals_hold_the_figure_are_narrower_with_more_clips_and_are_always_the_same():
    few, many = drawn(3, 100, 3), drawn(3, 2_500, 3)
    widths = []
    for made in (few, many):
        found, calibration = made.detection(0), made.calibration()
        for value, interval in (
            (found.equal_error_rate, found.equal_error_interval),
            (found.area, found.area_interval),
            (calibration.brier, calibration.brier_interval),
        ):
            assert interval.low <= value <= interval.high
        widths.append(found.area_interval.high - found.area_interval.low)
        assert made.detection(0).area_interval == found.area_interval
    assert widths[1] < widths[0] / 3


def test_the_areas_interval_is_near_that_of_hanley_and_mcneil():
    made = drawn(5, 2_000, 2)
    found = made.detection(0)
    a, own = found.area, int((made.labels == 0).sum())
    others = 2_000 - own
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (own - 1) * (q1 - a * a) + (others - 1) * (q2 - a * a)) / (own * others)
    width = found.area_interval.high - found.area_interval.low
    assert width == pytest.approx(2 * 1.96 * variance**0.5, rel=0.15)


def test_the_most_confident_errors_come_first_and_no_right_answer_among_them():
    made = scores([[4, 0, 0], [0, 2, 0], [0, 0, 9], [1, 0, 0]], [1, 0, 2, 2])
    wrong = made.most_confident_errors(10)
    assert [(w.clip, w.label, w.prediction) for w in wrong] == [(0, 1, 0), (1, 0, 1), (3, 2, 0)]
    assert wrong[0].probability == pytest.approx(np.exp(4) / (np.exp(4) + 2))
    assert made.most_confident_errors(1) == wrong[:1]


# Logits of two committed runs' test clips as they are kept: "no" was taken for "other", and both are equally large.
ROUNDED_TIES = ([-4.484375, 2.00195312, 2.00195312], [-19.359375, 8.7734375, 8.7734375])


@pytest.mark.parametrize("logits", ROUNDED_TIES, ids=["fc", "cnn"])
@pytest.mark.parametrize("answer", [1, 2])
def test_where_rounding_made_two_logits_equal_the_recorded_prediction_is_the_answer(logits, answer):
    made = scores([logits], [1], [answer])
    (only,) = made.calibration().bins
    assert (only.clips, only.right) == (1, float(answer == 1))
    assert only.probability == pytest.approx(0.5, abs=1e-3)
    assert [wrong.prediction for wrong in made.most_confident_errors(5)] == ([] if answer == 1 else [2])


@given(st.integers(0, 10_000), st.integers(20, 200), st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_however_logits_are_rounded_as_many_answers_are_right_as_were_recorded(seed, clips, k):
    """Outputs so close together that float16 cannot tell many of them apart."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(k, size=clips).tolist()
    exact = 30 + 0.005 * draw.normal(size=(clips, k))
    assert (exact.astype("<f2").argmax(axis=1) != exact.argmax(axis=1)).any()
    made = scores(exact, labels)
    right = int((exact.argmax(axis=1) == labels).sum())
    calibration = made.calibration()
    assert round(sum(b.right * b.clips for b in calibration.bins)) == right
    wrong = made.most_confident_errors(clips)
    assert {w.clip for w in wrong} == set(np.flatnonzero(exact.argmax(axis=1) != labels).tolist())
    assert all(w.prediction == exact[w.clip].argmax() for w in wrong)


def test_logits_as_large_as_half_precision_holds_do_not_overflow():
    found = scores([[65504, -65504], [-65504, 65504]], [0, 1])
    assert found.probabilities.tolist() == [[1, 0], [0, 1]]
    assert found.detection(0).area == 1.0
