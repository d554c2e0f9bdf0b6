"""What streams of several folds make together, and which runs are the folds of one."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fold_tables import COUNT, Stub, filled, world

from kws.errors import RegistryError
from kws.recipe.partition import folds
from kws.reports.stream_folds import FoldStream, pooled_curves, pooled_points, runs_of_all_folds
from kws.reports.streams import DetCurve, FalseAccepts, Point

COUNTS = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 9), st.floats(0.01, 9))


def heard(missed, heard_, events, hours, threshold=0.5):
    point = Point(
        word="yes", threshold=threshold, said=missed + heard_, misses=missed, false_accepts=FalseAccepts(events, hours)
    )
    curve = DetCurve(
        word="yes",
        thresholds=(0.1, 0.9),
        said=missed + heard_,
        misses=(0, missed),
        false_accepts=(events + 3, events),
        hours=hours,
    )
    return FoldStream(
        run="r", fold=1, fingerprint="f", clips=1, hours=hours, thresholds={}, thresholds_from="",
        has_own_thresholds=True, points=[point], curves=[curve],
    )  # fmt: skip


@given(st.lists(COUNTS, min_size=1, max_size=6))
def test_counts_and_hours_are_added_up_and_intervals_are_those_of_the_sum(counts):
    streams = [heard(*each) for each in counts]
    (point,), (curve,) = pooled_points(streams), pooled_curves(streams)
    missed, hit, events, hours = map(sum, zip(*counts, strict=True))
    assert (point.misses, point.said, point.false_accepts.events) == (missed, missed + hit, events)
    assert point.false_accepts.hours == curve.hours == pytest.approx(hours)
    assert point.false_accepts.interval == FalseAccepts(events, point.false_accepts.hours).interval
    assert curve.misses == (0, missed)
    assert curve.false_accepts == (events + 3 * len(counts), events)
    assert curve.thresholds == (0.1, 0.9)


def test_a_threshold_is_told_only_where_all_folds_have_it():
    assert pooled_points([heard(1, 1, 0, 1.0), heard(1, 1, 0, 1.0)])[0].threshold == 0.5
    assert pooled_points([heard(1, 1, 0, 1.0), heard(1, 1, 0, 1.0, threshold=0.6)])[0].threshold is None


class Registry(Stub):
    """One that lists its runs."""

    def __init__(self, stub):
        super().__init__()
        self.made, self.cards, self.answers = stub.runs, stub.cards, stub.answers
        self.runs = lambda: self.made


def test_the_folds_of_a_run_are_those_of_its_recipe_seed_and_clips():
    clips = world()
    stub = filled(clips, seeds=(0, 1))
    for fold in folds(COUNT):
        stub.add(world(name="others"), fold, 0)
    again = stub.add(clips, "2/3", 0)
    found = runs_of_all_folds(Registry(stub), stub.runs[0])
    assert [(run.recipe.fold, run.recipe.seed) for run in found] == [(fold, 0) for fold in folds(COUNT)]
    assert found[1].id == again.id
    assert [run.id for run in runs_of_all_folds(Registry(stub), stub.runs[4])] == [r.id for r in stub.runs[3:6]]


def test_a_fold_that_is_missing_and_a_run_of_no_fold_are_refused_with_what_trains_them():
    stub = filled(world(), which=["1/3", "3/3"])
    with pytest.raises(RegistryError, match=r"no tested run of fold 2 of 3 .* `kws sweep --folds 3`"):
        runs_of_all_folds(Registry(stub), stub.runs[0])
    whole = dataclasses.replace(stub.runs[0], recipe=dataclasses.replace(stub.runs[0].recipe, fold=None))
    with pytest.raises(RegistryError, match=r"is no fold; `kws sweep --folds 5`"):
        runs_of_all_folds(Registry(stub), whole)
