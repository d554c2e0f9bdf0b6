"""A run as a detector: the trade-off of each keyword on one split, and what its own thresholds miss and let through.

Decisions:
- Axes are normal deviates, as in `kws plot --kind det`. All charts of the page have one range, wider only where a split
  has so many clips that rates lie below it, so that charts can be compared by eye.
- Thresholds are the run's own: those that miss at most 5 % of the keyword's validation clips, as in an exported file.
  A run whose outputs on the validation split are not kept has none, and shows its trade-off alone.
- False accepts an hour are of the split's other clips one after the other, a second each: speech without a pause. A
  registry has no streams; `kws stream` measures them in running sound, which has pauses and noise, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kws.events import NO_KEYWORDS, VALIDATION, DataCard, Evaluation
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.statistics import Interval, over_clips
from kws.reports.streams import FalseAccepts

if TYPE_CHECKING:
    from kws.inference.calibration import Calibration

SIDE = 300  # of the chart's square, in its own units
_LEAST, _MOST = 0.001, 0.6  # rates at its edges
_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.4)
_APART = 1.5  # corners nearer than this are one
_SECONDS = 1.0  # that a network hears of each clip


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """A keyword's trade-off, and what is missed and let through at its threshold (None if it is not known).

    A rate is a share; `path` is the curve as an SVG path, and `equal` the place where both rates are equal, if any.
    """

    name: str
    clips: int
    others: int
    equal_error_rate: float
    path: str
    equal: float | None
    threshold: float | None = None
    misses: int = 0
    false_accepts: FalseAccepts | None = None

    @property
    def miss_rate(self) -> float:
        """The share of its clips that are missed."""
        return self.misses / self.clips

    @property
    def miss_interval(self) -> Interval:
        """Wilson's interval of that share, over clips."""
        return over_clips(self.misses, self.clips)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """Every keyword's trade-off on one split, the chart's ticks by place, and the false accepts of all keywords."""

    keywords: tuple[Keyword, ...]
    ticks: tuple[tuple[str, int], ...]
    together: FalseAccepts | None  # of clips of no keyword, by any keyword; None without thresholds or such clips

    @property
    def has_thresholds(self) -> bool:
        """Whether the run's own thresholds are known."""
        return any(each.threshold is not None for each in self.keywords)


def of(card: DataCard, evaluation: Evaluation, calibrated: Calibration | None) -> Detector | None:
    """The detector on an evaluation that has its logits; None if no keyword has clips beside others."""
    import numpy as np

    from kws.inference.calibration import softmax
    from kws.reports.scores import Scores

    counts = [evaluation.labels.count(k) for k in range(len(card.classes))]
    found = [
        k for k, name in enumerate(card.classes) if name not in NO_KEYWORDS and 0 < counts[k] < len(evaluation.labels)
    ]
    if not found:
        return None
    scores = Scores.of(evaluation, card.classes)
    least = min([_LEAST, *(1 / (len(evaluation.labels) - counts[k]) / 2 for k in found)])
    thresholds = {} if calibrated is None else calibrated.thresholds
    heard = {}
    if calibrated is not None:
        probabilities = softmax(scores.logits, calibrated.temperature)
        heard = {
            k: probabilities[:, k] >= thresholds[name] for k, name in enumerate(card.classes) if name in thresholds
        }
    keywords = tuple(
        _keyword(card.classes[k], scores, k, counts[k], least, heard.get(k), thresholds.get(card.classes[k]))
        for k in found
    )
    others = np.array([card.classes[label] in NO_KEYWORDS for label in evaluation.labels])
    together = None
    if heard and others.any():
        any_keyword = np.logical_or.reduce([*heard.values()])
        together = _accepted(int((any_keyword & others).sum()), int(others.sum()))
    ticks = [(f"{100 * each:g}", round(float(places(each, least)))) for each in _TICKS if each >= least]
    return Detector(keywords=keywords, ticks=tuple(ticks), together=together)


def _keyword(name: str, scores: Any, k: int, clips: int, least: float, heard: Any, threshold: float | None) -> Keyword:
    detection = scores.detection(k, resampled=False)
    others = len(scores.labels) - clips
    equal = detection.equal_error_rate
    own = scores.labels == k
    return Keyword(
        name=name,
        clips=clips,
        others=others,
        equal_error_rate=equal,
        path=path(detection.false_accept_rates, detection.miss_rates, least),
        equal=round(float(places(equal, least)), 1) if 0 < equal <= _MOST else None,
        threshold=threshold,
        misses=0 if heard is None else int((own & ~heard).sum()),
        false_accepts=None if heard is None else _accepted(int((heard & ~own).sum()), others),
    )


def _accepted(events: int, clips: int) -> FalseAccepts:
    return FalseAccepts(events, clips * _SECONDS / 3600)


def places(rates: Any, least: float) -> Any:
    """Where rates (P,) lie on an axis from `least` to the greatest rate shown, in units of the chart."""
    from scipy.special import ndtri

    low, high = ndtri(least), ndtri(_MOST)
    return SIDE * (ndtri(rates) - low) / (high - low)


def path(false_accepts: Any, misses: Any, least: float) -> str:
    """A curve (P,) as an SVG path, false accepts to the right and misses upwards; "" if all of it is off the chart.

    Rates of 0 have no place on it, so a curve ends at the last threshold before them.
    """
    shown = (false_accepts > 0) & (false_accepts <= _MOST) & (misses > 0) & (misses <= _MOST)
    x, y = places(false_accepts[shown], least), SIDE - places(misses[shown], least)
    found: list[tuple[float, float]] = []
    for at in zip(x.tolist(), y.tolist(), strict=True):
        if not found or math.dist(found[-1], at) >= _APART:
            found.append(at)
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in found) if found else ""


def by_split(
    registry: RegistryReader, run: Run, answers: Sequence[tuple[DataCard, Evaluation]]
) -> Mapping[tuple[str, str], Detector]:
    """The detector on each of a run's evaluations that can show one, by fingerprint and split.

    The validation split shows none: it is what the thresholds were chosen by.
    """
    made: dict[tuple[str, str], Detector] = {}
    own = next((each for each in answers if _is_validation(run, *each)), None)
    calibrated = None if own is None else _calibration(registry, run, *own)
    for card, each in answers:
        if each.split == VALIDATION or not (kept := registry.logits(run.id, card.fingerprint, each.split)):
            continue
        if (found := of(card, replace(each, logits=kept), calibrated)) is not None:
            made[card.fingerprint, each.split] = found
    return made


def may_have_thresholds(run: Run, answers: Sequence[tuple[DataCard, Evaluation]]) -> bool:
    """Whether there are answers on the run's own validation split, by which thresholds are chosen."""
    return any(_is_validation(run, *each) for each in answers)


def _is_validation(run: Run, card: DataCard, evaluation: Evaluation) -> bool:
    return evaluation.split == VALIDATION and card.fingerprint == run.data_fingerprint


def _calibration(registry: RegistryReader, run: Run, card: DataCard, evaluation: Evaluation) -> Calibration | None:
    kept = registry.logits(run.id, card.fingerprint, VALIDATION)
    if not kept:
        return None
    from kws.inference.calibration import Calibration

    return Calibration.of(replace(evaluation, logits=kept), card.classes)
