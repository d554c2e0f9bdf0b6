"""The report's figures beside ours, and its four claims: whether they hold in the registry's runs.

The report is "PhD course Deep learning - assignment 2", Group 530, Aalborg University, May 2023: one seed, and 1,229
test clips of which "other" was drawn from words that it does not name. Decisions:
- Only runs under the report's conditions count: its two networks and optimizers unchanged, 50 epochs in minibatches of
  1,024, fp32, the last epoch.
- The report's figure is one more run on as many clips of other speakers, and its own error counts beside ours. With one
  seed of ours, nothing is known about the seed error of either run, and the difference has no interval.
- Each claim has parts. A part holds if its interval lies above the claimed value. It is smaller than reported if the
  interval lies above zero but below that value. It does not hold if the interval otherwise lies below that value. In
  all other cases it is inconclusive. The verdict on a claim is that of its worst part.
- Intervals of claims are Bonferroni's for the number of claims, so that all of them are right with 95 % confidence.
- Differences are those of kws.reports.estimates: seeds are paired if both had the same initial weights. With one seed
  nothing is known about retraining, and every part is inconclusive.
- "Faster" is fewer epochs to the highest whole percent of validation accuracy that every run of both optimizers has
  reached. It is about seeds alone, since which validation clips were right is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.reports.cells import Cell
from kws.reports.statistics import CONFIDENCE

if TYPE_CHECKING:
    pass

SOURCE = "the report (Group 530, Aalborg University, 2023; one seed)"
HOLDS, SMALLER, INCONCLUSIVE, DOES_NOT = "holds", "smaller than reported", "inconclusive", "does not hold"
CLAIMS = 4
LEVEL = 1 - (1 - CONFIDENCE) / CLAIMS
REPORTED = {
    ("fc", "sgd", False): 0.8527,
    ("fc", "adam", False): 0.8796,
    ("cnn", "sgd", False): 0.8959,
    ("cnn", "adam", False): 0.9178,
    ("fc", "sgd", True): 0.778,  # "about 77.8 %", with a softmax before cross-entropy
}
Key = tuple[str, str, bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A test accuracy of the report and ours, as fractions; ours is None if nothing was run."""

    title: str
    arch: str
    opt: str
    softmax: bool
    reported: float
    n: int
    mean: float | None
    low: float | None
    high: float | None
    difference: float | None  # ours minus the report's
    difference_low: float | None  # of its interval, which includes the error of the report's own seed and clips
    difference_high: float | None
    runs: tuple[str, ...]

    @property
    def reported_text(self) -> str:
        """The report's figure, as printed there."""
        return f"about {100 * self.reported:.1f} %" if self.softmax else f"{100 * self.reported:.2f} %"

    @property
    def here_text(self) -> str:
        """Our mean and the number of seeds."""
        return "-" if self.mean is None else f"{100 * self.mean:.2f} % (n = {self.n})"

    @property
    def difference_text(self) -> str:
        """The difference in points and its interval; to one decimal where the report says "about"."""
        if self.difference is None:
            return "-"
        digits = 1 if self.softmax else 2
        text = f"{100 * self.difference:+.{digits}f}"
        if self.difference_low is None or self.difference_high is None:
            return text
        return f"{text} ({100 * self.difference_low:+.{digits}f} to {100 * self.difference_high:+.{digits}f})"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One part of a claim: a mean difference with its interval, of n seeds or more per side; None if n is 0.

    The claim requires it to be above `wanted`, and states its size as `reported`. `detectable` is the difference that
    these seeds would have found with 80 % power. `seeds_to_tell` is how many seeds per side would settle an
    inconclusive part if the true difference is the one measured; None if no number would, because `error_of_clips`
    alone is too large.
    """

    about: str
    unit: str  # "points" of accuracy, or "epochs"
    wanted: float
    n: int
    seeds: tuple[int, int] = (0, 0)
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    reported: float | None = None
    standard_error: float | None = None
    freedom: float | None = None
    detectable: float | None = None
    seeds_to_tell: int | None = None
    error_of_clips: float | None = None

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
    def text(self) -> str:
        """This part in words."""
        if self.mean is None:
            return f"{self.about}: no runs to compare"
        interval = "" if self.low is None or self.n < 2 else f"{self.low:+.2f} to {self.high:+.2f}, "
        n = str(self.seeds[0]) if self.seeds[0] == self.seeds[1] else f"{self.seeds[0]} and {self.seeds[1]}"
        text = f"{self.about}: {self.mean:+.2f} {self.unit} ({interval}n = {n})"
        return "; ".join([text, *self._outlook()])

    def _outlook(self) -> list[str]:
        """The difference that these seeds could have found, and what would settle an inconclusive part."""
        if self.n < 2 or self.detectable is None or self.mean is None:
            return []
        found = [f"{self.detectable:.2f} would have been found with 80 % power"]
        if self.verdict == INCONCLUSIVE:
            if self.seeds_to_tell is not None:
                found.append(f"some {self.seeds_to_tell:,} seeds of each would settle it")
            elif self.error_of_clips:
                found.append(f"no number of seeds would, for these clips leave an error of {self.error_of_clips:.2f}")
        return found


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One of the report's claims and what was measured about it, part by part; the verdict is its worst part's."""

    number: int
    statement: str
    verdict: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The report beside a table."""

    source: str
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]
    remarks: tuple[str, ...]

    def reported(self, cell: Cell) -> float | None:
        """The report's figure for a cell; None if it has none."""
        return next((each.reported for each in self.figures if each.runs == cell.runs), None)
