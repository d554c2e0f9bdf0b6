"""What would settle a comparison that is open: how many more seeds, or how many times as many test speakers.

Decisions:
- Settled means that the interval no longer contains the value in question. A plan is one with which that happens in
  80 % of repetitions, each with other seeds and other speakers, if the true difference is the one measured.
- The plan's error is that of the estimator that makes the interval (kws.reports.estimates): the variance of seeds, that
  of speakers and that of their interaction, each divided by the planned numbers, with the degrees of freedom that these
  have. So the plan of what is there already is the interval's own error.
- The cell with fewer seeds gets more of them first, then both. Where seeds are paired, new ones are paired, too.
- Seeds do not make the error of the test clips smaller. Where that alone is too large, no number of seeds settles it; a
  larger test split does, with enough seeds that a fifth of the squared error is theirs: seeds are cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kws.reports.estimates import Components, Estimate, seed_freedom

_MOST_SEEDS = 2**20  # of a cell; nobody trains as many
_MOST_SPEAKERS = 1_000.0  # times as many as there are; nobody records as many
_NEAR = 1.01  # how exactly a number of speakers is found
_OF_SEEDS = 0.2  # the share of the squared error that is left to seeds, which are cheaper than speakers


@dataclass(frozen=True, kw_only=True)
class Plan:
    """More seeds of the first and of the second cell, and how many times as many test speakers."""

    more_seeds: tuple[int, int] = (0, 0)
    speakers: float = 1.0

    @property
    def needs_speakers(self) -> bool:
        """Whether seeds alone are not enough."""
        return self.speakers > 1


def planned(estimate: Estimate, seeds: tuple[int, int], speakers: float = 1.0) -> Estimate:
    """The estimate that is expected with so many seeds of each cell, and so many times as many test speakers.

    Its value is the same. `estimate` must have components; of a single cell, the second number is 0.
    """
    of = _components(estimate)
    added = sum(now - before for now, before in zip(seeds, of.seeds, strict=True))
    pairs = min(of.pairs + added, *seeds) if of.paired and of.pairs else 0
    of_seeds, of_both = _variance(of.of_seeds, seeds, pairs), _variance(of.of_both, seeds, pairs)
    clips = max(estimate.of_clusters - estimate.of_both, 0.0)
    freedom = seed_freedom(seeds, of.of_seeds, pairs) if seeds[1] else seeds[0] - 1.0
    return replace(
        estimate,
        n=min(filter(None, seeds)),
        clusters=round(estimate.clusters * speakers),
        of_seeds=max(of_seeds - of_both * (1 - 1 / speakers), 0.0),
        of_clusters=(clips + of_both) / speakers,
        of_both=of_both / speakers,
        seed_freedom=freedom,
    )


def settling(estimate: Estimate, distance: float, confidence: float) -> Plan | None:
    """The smallest plan that tells a difference of `distance` from none; None where no plan within reason does.

    `confidence` is the interval's level. None, too, where the variance of seeds is not known.
    """
    if estimate.components is None or not distance:
        return None
    now = estimate.components.seeds

    def level(n: int) -> tuple[int, int]:
        """At least so many seeds of each cell."""
        return max(now[0], n), (max(now[1], n) if now[1] else 0)

    def finds(n: int, speakers: float = 1.0, wanted: float = abs(distance)) -> bool:
        return planned(estimate, level(n), speakers).detectable(confidence) <= wanted

    def plan(n: int, speakers: float = 1.0) -> Plan:
        first, second = level(n)
        return Plan(more_seeds=(first - now[0], second - now[1]), speakers=speakers)

    fewest = min(filter(None, now))
    if n := _first(finds, fewest):
        return plan(n)
    n = _first(lambda n: finds(n, _MOST_SPEAKERS, _OF_SEEDS**0.5 * abs(distance)), fewest)
    times = _least(lambda times: finds(n or fewest, times))
    return plan(n, times) if n and times else None


def _components(estimate: Estimate) -> Components:
    if estimate.components is None:
        raise ValueError("the variance of seeds is not known")
    return estimate.components


def _variance(of: tuple[float, float, float], seeds: tuple[int, int], pairs: int) -> float:
    """The squared error that these variances of single seeds leave in a difference of means."""
    (one, other, covariance), (n, m) = of, seeds
    second = other / m - 2 * pairs * covariance / (n * m) if m else 0.0
    return max(one / n + second, 0.0)


def _first(holds: Callable[[int], bool], least: int) -> int | None:
    """The first number from `least` on for which that holds, if it then holds for all others; None if there is none."""
    few, many = least, least
    while not holds(many):
        if many >= _MOST_SEEDS:
            return None
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if holds(middle) else (middle, many)
    return many


def _least(holds: Callable[[float], bool]) -> float | None:
    """Nearly the least multiple above 1 for which that holds; None if none does."""
    few, many = 1.0, 2.0
    while not holds(many):
        if many >= _MOST_SPEAKERS:
            return None
        few, many = many, 2 * many
    while many > _NEAR * few:
        middle = (few * many) ** 0.5
        few, many = (few, middle) if holds(middle) else (middle, many)
    return many
