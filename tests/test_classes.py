"""Confusion matrix, precision, recall and F1, against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from kws.events import Evaluation
from kws.reports.classes import ClassReport
from kws.reports.statistics import over_clips

NAMES = ("yes", "no", "up", "down", "other")


def report(labels: list[int], predictions: list[int], k: int) -> ClassReport:
    answers = Evaluation(
        split="test", loss=0.5, objective=0.5, accuracy=0.5, labels=bytes(labels), predictions=bytes(predictions)
    )
    return ClassReport.of(answers, NAMES[:k])


def answers():
    """Numbers of classes, and pairs of what a clip is and what it was taken for."""
    return st.integers(2, 5).flatmap(
        lambda k: st.tuples(
            st.just(k), st.lists(st.tuples(*[st.integers(0, k - 1)] * 2), min_size=1, max_size=40).map(list)
        )
    )


@given(answers())
@settings(max_examples=60, deadline=None)
def test_confusion_and_scores_are_scikit_learns_and_none_where_it_has_no_number(case):
    k, pairs = case
    labels, predictions = map(list, zip(*pairs, strict=True))
    ours = report(labels, predictions, k)
    assert np.array_equal(ours.confusion, confusion_matrix(labels, predictions, labels=range(k)))
    theirs = precision_recall_fscore_support(labels, predictions, labels=range(k), zero_division=np.nan)
    for score, precision, recall, f1, clips in zip(ours.scores, *theirs, strict=True):
        if not clips:  # it cannot be right, so that its precision and F1 would say nothing of the network
            assert (score.precision, score.recall, score.f1) == (None, None, None)
            continue
        for mine, reference in ((score.precision, precision), (score.recall, recall), (score.f1, f1)):
            assert (mine is None) == math.isnan(reference)
            assert mine is None or mine == pytest.approx(reference, abs=1e-12)
        assert score.clips == clips
    assert [score.name for score in ours.scores] == list(NAMES[:k])


@given(answers())
@settings(max_examples=30, deadline=None)
def test_every_clip_is_counted_once(case):
    k, pairs = case
    confusion = report(*map(list, zip(*pairs, strict=True)), k).confusion
    assert sum(map(sum, confusion)) == len(pairs)
    assert sum(confusion[i][i] for i in range(k)) == sum(true == said for true, said in pairs)


def test_a_row_is_what_the_clips_are_and_a_column_what_they_were_taken_for():
    assert report([0, 0, 1], [1, 1, 1], 2).confusion == ((0, 2), (0, 1))


def test_no_clips_give_zeros_and_no_scores():
    empty = report([], [], 2)
    assert empty.confusion == ((0, 0), (0, 0))
    for score in empty.scores:
        assert (score.precision, score.recall, score.f1, score.clips) == (None, None, None, 0)


def test_answers_that_do_not_pair_up_with_the_labels_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        report([0, 1], [0], 2)


def test_intervals_are_wilsons_for_shares_and_hold_f1_between_their_ends():
    labels = [0] * 50 + [1] * 70 + [2] * 80
    predictions = [0] * 40 + [1] * 70 + [2] * 70 + [0] * 20
    made = report(labels, predictions, 3)
    for k, (score, interval) in enumerate(zip(made.scores, made.intervals(), strict=True)):
        hits = made.confusion[k][k]
        assert interval.recall == over_clips(hits, score.clips)
        assert interval.precision == over_clips(hits, predictions.count(k))
        assert interval.f1.low <= score.f1 <= interval.f1.high
        assert interval.f1.high - interval.f1.low < 0.25
    assert made.intervals() == made.intervals()


def test_what_has_no_score_has_no_interval():
    never = report([0, 0, 1], [0, 1, 1], 3).intervals()[2]
    assert (never.precision, never.recall, never.f1) == (None, None, None)
