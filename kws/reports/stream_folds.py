"""Streams of all folds of cross-validation, added up: each clip is heard by a network that never heard its speaker.

Decisions:
- Words said and missed, events of false accepts and hours are added up over the folds, and intervals are those of one
  stream as long as all of them (kws.reports.streams). Each fold's network has its own thresholds.
- A trade-off's line is the sum of what each network does at one and the same threshold.
- These intervals are over the audio, for the networks of these folds together. A Poisson rate is common to all audio,
  while networks differ, often by more than chance: a network that is trained anew may differ as the folds do.
- It is the recipe that is measured so, by one network a fold. A network that is trained on all of the clips has heard
  them all, and is expected to do no worse than these, which had fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports.folds import fold_of, identity, without_fold
from kws.reports.streams import DetCurve, FalseAccepts, Point


@dataclass(frozen=True, kw_only=True)
class FoldStream:
    """What one fold's network made of its stream: the points of each keyword and of all, and the trade-offs."""

    run: str
    fold: int
    fingerprint: str  # of the stream
    clips: int
    hours: float
    thresholds: dict[str, float]
    thresholds_from: str
    has_own_thresholds: bool  # whether the run's validation clips gave them
    points: Sequence[Point]
    curves: Sequence[DetCurve]


def runs_of_all_folds(registry: RegistryReader, run: Run) -> list[Run]:
    """The latest tested run of each fold, in order, of a run's recipe, seed and clips.

    Raises RegistryError if it tests no fold, or if a fold has no such run.
    """
    if run.recipe.fold is None:
        raise RegistryError(
            f"run {run.id} has splits of its own and is no fold; `kws sweep --folds 5` with its options trains a "
            "network a fold"
        )
    count, recipe, clips = fold_of(run.recipe)[1], without_fold(run.recipe).digest, identity(registry, run)
    found: dict[int, Run] = {}
    for each in sorted(registry.runs(), key=lambda each: (each.started_at, each.id)):
        if each.recipe.fold is None or each.status != FINISHED or each.awaits_test:
            continue
        fold, of = fold_of(each.recipe)
        alike = of == count and without_fold(each.recipe).digest == recipe and each.data_source == run.data_source
        if alike and identity(registry, each) == clips:
            found[fold] = each
    missing = [str(fold) for fold in range(1, count + 1) if fold not in found]
    if missing:
        raise RegistryError(
            f"there is no tested run of fold {', '.join(missing)} of {count} with the recipe and seed of run {run.id}; "
            f"`kws sweep --folds {count}` with its options trains what is missing, `kws test` tests what is not"
        )
    return [found[fold] for fold in range(1, count + 1)]


def pooled_points(streams: Sequence[FoldStream]) -> list[Point]:
    """The points of all folds together; a threshold is None where folds have different ones."""
    return [_point(points) for points in zip(*(each.points for each in streams), strict=True)]


def pooled_curves(streams: Sequence[FoldStream]) -> list[DetCurve]:
    """The trade-offs of all folds together, at thresholds that are the same in each."""
    return [_curve(curves) for curves in zip(*(each.curves for each in streams), strict=True)]


def _point(points: Sequence[Point]) -> Point:
    thresholds = {each.threshold for each in points}
    alarms = [each.false_accepts for each in points]
    return replace(
        points[0],
        threshold=thresholds.pop() if len(thresholds) == 1 else None,
        said=sum(each.said for each in points),
        misses=sum(each.misses for each in points),
        false_accepts=FalseAccepts(sum(each.events for each in alarms), sum(each.hours for each in alarms)),
    )


def _curve(curves: Sequence[DetCurve]) -> DetCurve:
    return replace(
        curves[0],
        said=sum(each.said for each in curves),
        misses=tuple(map(sum, zip(*(each.misses for each in curves), strict=True))),
        false_accepts=tuple(map(sum, zip(*(each.false_accepts for each in curves), strict=True))),
        hours=sum(each.hours for each in curves),
    )
