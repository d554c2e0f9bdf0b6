"""Decides whether two data sets' features can come from one front end, if it is not recorded for both.

Features of recordings are ours, and their front end is recorded. Arrays are made elsewhere, in natural logarithms,
decibels or otherwise. A network accepts them without an error and predicts nonsense. Only their values are known: the
lowest ones, and the training split's averages in each band.

Decisions, measured on Speech Commands, on synthetic speech and on both made quieter, louder, noisier and narrower:
- No feature of a recorded front end is below the logarithm of its offset, or above that of a full-scale tone. Many
  cells at one lowest value are digital silence, which is at that logarithm exactly.
- The band averages of any two sets of speech correlate with at least 0.6, also over a telephone. Averages with the
  bands in another order, of cepstra, or brought to the same average in every band correlate with 0.2 or less.
- Standard deviations differ by a factor of 1.9 between the quietest and the loudest of those recordings, and by 3 or
  more between natural logarithms and decibels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kws.events import DataCard

_ROUNDING = 0.01
_CEILING = 6.0  # a full-scale sine in the middle of a narrow band reaches 5.5
_LEAST_CORRELATION = 0.3
_MOST_TIMES = 2.2


@dataclass(frozen=True)
class Lowest:
    """The lowest feature of some clips, not normalised; it is digital silence if many cells have it."""

    value: float
    is_silence: bool


def differing(first: DataCard, second: DataCard) -> tuple[str, ...]:
    """The settings in which two recorded front ends differ; empty if one is not recorded."""
    if not first.front_end or not second.front_end:
        return ()
    return tuple(
        f"{name} {second.front_end.get(name)} instead of {first.front_end.get(name)}"
        for name in sorted({*first.front_end, *second.front_end})
        if first.front_end.get(name) != second.front_end.get(name)
    )


def doubt(trained: DataCard, evaluated: DataCard, lowest: Lowest | None = None) -> str | None:
    """Why `evaluated` does not look like features of the front end of `trained`; None if it may be the same one.

    `lowest` is that of the clips evaluated. There is no doubt if both front ends are recorded, or if all the data is
    the same.
    """
    if (trained.front_end and evaluated.front_end) or trained.fingerprint == evaluated.fingerprint:
        return None
    recorded, other = (trained, evaluated) if trained.front_end else (evaluated, trained)
    whose = "its" if other is evaluated else "the run's data's"
    offset = recorded.front_end.get("offset")
    if offset:
        floor = math.log(offset)
        if reason := _out_of_range(other, whose, floor, lowest if other is evaluated else None):
            return reason
    correlation = _correlation(trained.band_means or (), evaluated.band_means or ())
    if correlation is not None and correlation < _LEAST_CORRELATION:
        return (
            f"its bands' averages correlate with those of the run's data by {correlation:.2f}, those of speech with "
            "other speech by 0.6 or more"
        )
    times = evaluated.std / trained.std
    if not 1 / _MOST_TIMES <= times <= _MOST_TIMES:
        return f"its features spread {times:.2g} times as widely as those of the run's data"
    return None


def _out_of_range(other: DataCard, whose: str, floor: float, lowest: Lowest | None) -> str | None:
    """Why values cannot be those of a front end with that floor, the value of digital silence; None if they can."""
    means = other.band_means or (other.mean,)
    least = min(*means, *([lowest.value] if lowest else []), math.inf)
    if least < floor - _ROUNDING:
        return f"{whose} features go down to {least:.2f}, those of kws never below {floor:.2f}"
    if lowest and lowest.is_silence and lowest.value > floor + _ROUNDING:
        return f"{whose} silence is at {lowest.value:.2f}, that of kws at {floor:.2f}"
    if max(means) > _CEILING:
        return f"{whose} features are {max(means):.2f} on average in a band, those of kws never above {_CEILING:g}"
    return None


def _correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation; None if it is undefined."""
    if len(first) != len(second) or len(first) < 2:
        return None
    sides = [[value - math.fsum(side) / len(side) for value in side] for side in (first, second)]
    scale = math.sqrt(math.fsum(a * a for a in sides[0]) * math.fsum(b * b for b in sides[1]))
    if not scale or not math.isfinite(scale):
        return None
    return math.fsum(a * b for a, b in zip(*sides, strict=True)) / scale
