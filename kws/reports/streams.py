"""What a labelled stream says of a detector: misses, false accepts an hour, and what so many hours can show.

Decisions:
- Misses are a share of the words said, with Wilson's interval.
- False accepts are events of a Poisson process over the stream's hours, with Garwood's exact interval (Biometrika 28,
  1936), 95 % on two sides.
- What is shown of a rate is a bound above it, 95 % on one side: after n events in T hours, half the 95 % quantile of
  chi-squared with 2 n + 2 degrees of freedom, over T. With none that is 2.996 / T, the rule of three: no event in T
  hours proves at most 3 / T an hour.
- A threshold for a target is the lowest at which this bound is at most the target, and at every higher one as well.
  Thresholds are gone through downwards in a fixed order until the first that fails, so that the 95 % hold for the
  threshold that is found, although many were tried (fixed-sequence testing; Angelopoulos et al., arXiv:2110.01052).
  They hold for audio like the validation stream's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kws.errors import DataError
from kws.reports.statistics import CONFIDENCE, Interval, over_clips

LEVELS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # false accepts an hour that a table has lines for


@dataclass(frozen=True)
class FalseAccepts:
    """So many events in so many hours."""

    events: int
    hours: float

    @property
    def per_hour(self) -> float:
        """The rate that was seen; nan over no time."""
        return self.events / self.hours if self.hours else float("nan")

    @property
    def interval(self) -> Interval:
        """The interval of the rate, on two sides."""
        from scipy.special import chdtri

        tail = (1 - CONFIDENCE) / 2
        if not self.hours:
            return Interval(0.0, float("inf"), "hours")
        low = chdtri(2 * self.events, 1 - tail) / 2 if self.events else 0.0
        return Interval(float(low) / self.hours, float(chdtri(2 * self.events + 2, tail)) / 2 / self.hours, "hours")

    @property
    def at_most(self) -> float:
        """The bound above the rate, on one side."""
        from scipy.special import chdtri

        return float(chdtri(2 * self.events + 2, 1 - CONFIDENCE)) / 2 / self.hours if self.hours else float("inf")

    def record(self) -> dict[str, Any]:
        """As JSON."""
        interval = self.interval
        return {
            "events": self.events,
            "hours": self.hours,
            "per_hour": self.per_hour if self.hours else None,
            "per_hour_interval": [interval.low, interval.high] if self.hours else None,
            "per_hour_at_most": self.at_most if self.hours else None,
        }


@dataclass(frozen=True, kw_only=True)
class Point:
    """A detector at work: how often a word (None: any keyword) was said and missed, and what was falsely accepted."""

    word: str | None
    threshold: float | None  # None where keywords have different ones
    said: int
    misses: int
    false_accepts: FalseAccepts

    @property
    def miss_interval(self) -> Interval:
        """The interval of the share that is missed."""
        return over_clips(self.misses, self.said)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        interval = self.miss_interval
        return {
            "word": self.word,
            "threshold": self.threshold,
            "said": self.said,
            "misses": self.misses,
            "miss_rate": self.misses / self.said if self.said else None,
            "miss_rate_interval": [interval.low, interval.high] if self.said else None,
            "false_accepts": self.false_accepts.record(),
        }


@dataclass(frozen=True, kw_only=True)
class DetCurve:
    """Misses and false accepts of a word (None: any keyword) at P thresholds, which rise, in so many hours."""

    word: str | None
    thresholds: tuple[float, ...]
    said: int
    misses: tuple[int, ...]
    false_accepts: tuple[int, ...]
    hours: float

    def point(self, place: int) -> Point:
        """The detector at one threshold."""
        return Point(
            word=self.word,
            threshold=self.thresholds[place],
            said=self.said,
            misses=self.misses[place],
            false_accepts=FalseAccepts(self.false_accepts[place], self.hours),
        )

    def at_level(self, per_hour: float) -> Point | None:
        """The lowest threshold from which on at most so many false accepts an hour were seen; None if there is none."""
        return self._lowest([events <= per_hour * self.hours + 1e-9 for events in self.false_accepts])

    def levels(self) -> list[tuple[float, Point]]:
        """A point for each level of false accepts an hour, until nothing changes any more."""
        found: list[tuple[float, Point]] = []
        for level in LEVELS:
            point = self.at_level(level)
            if point is not None and not (found and found[-1][1] == point):
                found.append((level, point))
        return found

    def shown_to_hold(self, target: float) -> Point | None:
        """The lowest threshold from which on `target` false accepts an hour are shown not to be exceeded, or None."""
        known: dict[int, bool] = {}
        for events in set(self.false_accepts):
            known[events] = FalseAccepts(events, self.hours).at_most <= target
        return self._lowest([known[events] for events in self.false_accepts])

    def _lowest(self, holds: Sequence[bool]) -> Point | None:
        place = len(holds)
        while place and holds[place - 1]:
            place -= 1
        return self.point(place) if place < len(holds) else None

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "word": self.word,
            "said": self.said,
            "hours": self.hours,
            "thresholds": self.thresholds,
            "misses": self.misses,
            "false_accepts": self.false_accepts,
        }


def require_enough(target: float, hours: float, of: str) -> None:
    """Raise DataError for a target that not even a stream without false accepts of this length shows to be held."""
    least, needed = FalseAccepts(0, hours).at_most, FalseAccepts(0, 1.0).at_most / target
    if target < least:
        raise DataError(
            f"`target-fa` (={target:g}) cannot be shown with {hours:.2f} h of {of}: no false accept in that time "
            f"proves at most {least:.2f} an hour (3 / hours, 95 %, one-sided); give {needed:.1f} h or more "
            f"with --validation and --validation-labels, or a target of {least:.2f} or more. After "
            "`kws sweep --folds 5`, `kws stream RUN --folds` measures false accepts over all clips, which is more hours"
        )


def threshold_for(target: float, curve: DetCurve, of: str) -> Point:
    """The operating point that a validation stream shows to hold the target. Raises DataError if there is none."""
    require_enough(target, curve.hours, of)
    found = curve.shown_to_hold(target)
    if found is None:
        last = curve.point(len(curve.thresholds) - 1)
        raise DataError(
            f"no threshold is shown to hold {target:g} false accepts an hour: at {last.threshold:.6f}, the highest, "
            f"there are {last.false_accepts.events} in {curve.hours:.2f} h of {of}, at most "
            f"{last.false_accepts.at_most:.2f} an hour; give a target of that or more"
        )
    return found
