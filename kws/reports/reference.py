"""A publication beside a table: its figures and ours, and its claims with a verdict and the reason for it.

Decisions:
- Only cells of the recipes that the publication names count, with all else at its default; see
  kws.reports.publications.
- A figure of the publication is the mean of further runs on clips of other speakers, and its own error counts beside
  ours: for as many seeds and test clips as it states, and where it does not, for one run on as many clips as ours. With
  one seed of ours, nothing is known about the seed error of either, and the difference has no interval.
- Each claim has parts. A part holds if its interval lies above the claimed value. It is smaller than reported if the
  interval lies above zero but below that value. It does not hold if the interval otherwise lies below that value. In
  all other cases it is inconclusive. The verdict on a claim is that of its worst part.
- Each verdict says why: by how much the interval clears the claimed value, or misses it. An inconclusive one says what
  would settle it, by the plan of kws.reports.power.
- Intervals of claims are Bonferroni's for the number of claims, so that all of them are right with 95 % confidence.
- Differences are those of kws.reports.estimates: seeds are paired if both had the same initial weights. With one seed
  nothing is known about retraining, and every part is inconclusive.
- "Faster" is fewer epochs to the highest whole percent of validation accuracy that every run of both recipes has
  reached. It is about seeds alone, since which validation clips were right is not kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws.reports.cells import Cell
from kws.reports.publications import POINTS

if TYPE_CHECKING:
    from kws.reports.power import Plan

HOLDS, SMALLER, INCONCLUSIVE, DOES_NOT = "holds", "smaller than reported", "inconclusive", "does not hold"
_WORST_LAST = (HOLDS, SMALLER, INCONCLUSIVE, DOES_NOT)
_IS = {HOLDS: "holds", SMALLER: "is smaller than reported", INCONCLUSIVE: "is inconclusive", DOES_NOT: "does not hold"}
_DECIMALS = {POINTS: 2}  # of a number of epochs: one


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the publication and ours, as fractions; ours is None if nothing was run."""

    title: str
    arch: str
    opt: str
    softmax: bool  # whether there is one before cross-entropy
    recipe: Mapping[str, Any]  # what the publication's file says of it
    reported: float
    reported_text: str  # as printed there
    digits: int  # decimals of its percentage
    reported_seeds: int | None  # None if they are not stated, as the clips
    reported_clips: int | None
    n: int
    mean: float | None
    low: float | None
    high: float | None
    difference: float | None  # ours minus the publication's
    difference_low: float | None  # of its interval, which includes the error of the publication's own seeds and clips
    difference_high: float | None
    runs: tuple[str, ...]

    @property
    def here_text(self) -> str:
        """Our mean and the number of seeds."""
        return "-" if self.mean is None else f"{100 * self.mean:.2f} % (n = {self.n})"

    @property
    def difference_text(self) -> str:
        """The difference in points and its interval; to one decimal where the publication prints no more."""
        if self.difference is None:
            return "-"
        digits = min(max(self.digits, 1), 2)
        text = f"{100 * self.difference:+.{digits}f}"
        if self.difference_low is None or self.difference_high is None:
            return text
        return f"{text} ({100 * self.difference_low:+.{digits}f} to {100 * self.difference_high:+.{digits}f})"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One part of a claim: a mean difference with its interval, of n seeds or more per side; None if n is 0.

    The claim requires it to be above `wanted`, and states its size as `reported`. `detectable` is the difference that
    these seeds would have found with 80 % power. `plan` is what would settle an inconclusive part if the true
    difference is the one measured; None if nothing within reason would. Seeds alone do not where `error_of_clips`,
    which more seeds do not make smaller, is too large.
    """

    about: str
    unit: str  # "points" of accuracy, or "epochs"
    wanted: float
    n: int
    sides: tuple[str, str] = ("", "")  # the cells that are compared
    seeds: tuple[int, int] = (0, 0)
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    reported: float | None = None
    standard_error: float | None = None
    freedom: float | None = None
    detectable: float | None = None
    error_of_clips: float | None = None
    plan: Plan | None = None
    over: str = "speakers"  # what a larger test split would have more of; or "clips", if speakers are unknown
    goal: float | None = None  # the validation accuracy to which epochs are counted

    @property
    def verdict(self) -> str:
        """The verdict of the interval on this part."""
        if self.low is None or self.high is None or self.n < 2:
            return INCONCLUSIVE
        size = self.wanted if self.reported is None else self.reported
        if self.low > self.wanted:
            return HOLDS if self.high >= size else SMALLER
        if self.low > 0 and self.high < size:
            return SMALLER
        return DOES_NOT if self.high <= self.wanted else INCONCLUSIVE

    @property
    def seeds_to_tell(self) -> int | None:
        """How many seeds each side then has at least; None if seeds alone settle nothing, or it is settled."""
        if self.plan is None or self.plan.needs_speakers:
            return None
        return min(n + more for n, more in zip(self.seeds, self.plan.more_seeds, strict=True))

    @property
    def measured(self) -> str:
        """The difference, its interval and the numbers of seeds."""
        if self.mean is None:
            return "no runs to compare"
        digits = _DECIMALS.get(self.unit, 1)
        interval = ""
        if self.low is not None and self.high is not None and self.n > 1:
            interval = f" ({self.low:+.{digits}f} to {self.high:+.{digits}f})"
        n = str(self.seeds[0]) if self.seeds[0] == self.seeds[1] else f"{self.seeds[0]} and {self.seeds[1]}"
        return f"{self.mean:+.{digits}f} {self.unit}{interval}, n = {n}"

    @property
    def why(self) -> str:
        """Why the verdict is what it is, and what would settle an inconclusive part."""
        if self.mean is None:
            missing = [side for side, n in zip(self.sides, self.seeds, strict=True) if side and not n]
            return f"no finished run of {' and of '.join(missing)}" if missing else "no seed is common to both"
        if self.low is None or self.high is None or self.n < 2:
            single = [side for side, n in zip(self.sides, self.seeds, strict=True) if n == 1]
            return (
                f"one seed of {' and one of '.join(dict.fromkeys(single))} does not say how much another would differ"
            )
        if self.verdict == INCONCLUSIVE:
            above = self.mean > self.wanted
            reaches = (
                f"the interval reaches {self._by(self.low if above else self.high)} {'below' if above else 'above'}"
            )
            return f"{reaches} {self._wanted}; {self._settled()}"
        if self.verdict == DOES_NOT:
            turned = ": it is the other way round" if self.high < 0 else ""
            return f"the interval ends {self._by(self.high)} below {self._wanted}{turned}"
        lies = f"the interval lies {self._by(self.low, 0.0)} or more above 0"
        if self.verdict == SMALLER:
            size = self.wanted if self.reported is None else self.reported
            what = self._wanted if self.reported is None else f"the reported {self._text(size)}"
            return f"{lies}, but ends {self._by(self.high, size)} below {what}"
        return f"the interval lies {self._by(self.low)} or more above {self._wanted}" if self.wanted else lies

    @property
    def miss(self) -> str:
        """By how much a part that does not hold misses the claimed value, in brackets; "" for any other part."""
        if self.verdict != DOES_NOT or self.high is None:
            return ""
        return f" ({self._by(self.high)} or more short of {self._wanted})"

    @property
    def _wanted(self) -> str:
        return f"{self.wanted:g}"

    def _text(self, value: float) -> str:
        return f"{value:.{_DECIMALS.get(self.unit, 1)}f}"

    def _by(self, end: float, of: float | None = None) -> str:
        return self._text(abs(end - (self.wanted if of is None else of)))

    def _settled(self) -> str:
        """What would settle it."""
        if self.plan is None:
            return f"{self._text(self.mean or 0.0)} is too near to {self._wanted} for any number of seeds to settle it"
        seeds = self._more_seeds(self.plan.more_seeds)
        if not self.plan.needs_speakers:
            return f"about {seeds} would settle it"
        alone = f"these test clips alone leave an error of {self._text(self.error_of_clips or 0.0)}"
        more = f"about {_two_digits(self.plan.speakers)} times as many test {self.over}{seeds and f' and {seeds}'}"
        return f"no number of seeds would settle it, as {alone}; {more} would"

    def _more_seeds(self, more: tuple[int, int]) -> str:
        """So many more seeds of each cell, in words; "" if none are needed."""
        first, second = more
        if first == second or not self.sides[1]:
            return f"{_seeds(first)} of each" if first else ""
        named = [f"{_seeds(n)} {side}" for n, side in zip(more, _apart(*self.sides), strict=True) if n]
        return " and ".join(named)


def _apart(one: str, other: str) -> tuple[str, str]:
    """What tells two cells apart, as in "of Convolutional", or "without" and "with softmax before cross-entropy"."""
    first, second = one.split(", "), other.split(", ")
    own = [", ".join(each for each in a if each not in b) for a, b in ((first, second), (second, first))]
    if all(own):
        return f"of {own[0]}", f"of {own[1]}"
    return f"with {own[0]}" if own[0] else "without", f"with {own[1]}" if own[1] else "without"


def _seeds(more: int) -> str:
    return f"{_two_digits(more)} more seed{'' if more == 1 else 's'}"


def _two_digits(value: float) -> str:
    """A number that is at least this one, at two digits where it has more."""
    if value < 10 and value != int(value):
        return f"{math.ceil(10 * value - 1e-9) / 10:g}"
    step = 10 ** max(len(str(math.ceil(value))) - 2, 0)
    return f"{math.ceil(value / step) * step:,}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One of the publication's claims and what was measured about it, part by part; the verdict is its worst part's.

    `sizes` has the parameters of a network that is said to be smaller, and of the other one; None if that is not
    claimed, or nothing was run.
    """

    number: int
    statement: str
    evidence: tuple[Evidence, ...]
    sizes: tuple[int, int] | None = None

    @property
    def verdict(self) -> str:
        """That of the worst part; it does not hold, either, if the network is no smaller."""
        worst = max((each.verdict for each in self.evidence), key=_WORST_LAST.index)
        known = all(each.mean is not None for each in self.evidence)
        return DOES_NOT if known and self.sizes and self.sizes[0] >= self.sizes[1] else worst

    @property
    def why(self) -> str:
        """Which parts the verdict is due to; and the networks' sizes, if these are part of the claim."""
        found = []
        for verdict in reversed(_WORST_LAST):
            parts = [each.about for each in self.evidence if each.verdict == verdict]
            misses = "".join(each.miss for each in self.evidence if each.verdict == verdict) if len(parts) == 1 else ""
            if len(parts) == len(self.evidence):
                found.append(f"{'both parts' if len(parts) == 2 else 'all parts'} {_ARE[verdict]}")
            elif parts:
                found.append(f"{' and '.join(parts)} {_IS[verdict] if len(parts) == 1 else _ARE[verdict]}{misses}")
        if len(self.evidence) == 1:
            found = []
        if self.sizes:
            found.append(f"{self.sizes[0]:,} parameters rather than {self.sizes[1]:,}")
        return "; ".join(found)


_ARE = {HOLDS: "hold", SMALLER: "are smaller than reported", INCONCLUSIVE: "are inconclusive", DOES_NOT: "do not hold"}


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A publication beside a table."""

    source: str
    short: str  # what its column is called
    metric: str  # of the figures, in words
    error_rate: bool  # whether they are error rates there
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]
    level: float  # of the claims' intervals, so that all of them are right with 95 %
    notes: tuple[str, ...]  # the publication's file's
    missing: tuple[str, ...] = ()  # titles of figures of which nothing was run
    goals: tuple[str, ...] = ()  # why epochs are counted to the accuracy that they are counted to

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of the figures: the file's notes, and what nothing was run of."""
        return (*self.notes, *([f"nothing here is {'; nor '.join(self.missing)}"] if self.missing else []))

    def reported(self, cell: Cell) -> float | None:
        """The publication's figure for a cell; None if it has none."""
        return next((each.reported for each in self.figures if each.runs == cell.runs), None)
