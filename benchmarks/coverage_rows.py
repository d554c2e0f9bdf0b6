"""The rows of benchmarks.coverage: coverage and width, ties, power; components of variance beside the registry's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from benchmarks.components import Cells
from benchmarks.measure import Samples
from benchmarks.report import Row
from kws.reports.estimates import Estimate

GROUP = "coverage"
LEVEL, STEP = 0.05, 0.03
ORDER = ("components of variance", "cells", "differences", "ties wrongly dropped", "a difference of 3 points")
_LEAST, _MOST = 93.0, 97.0  # percent of intervals that hold the truth
_WIDEST, _MOST_TIES, _LEAST_POWER = 1.3, 6.0, 80.0
_ENOUGH = 3  # seeds, from which intervals may be neither too narrow nor too wide


@dataclass
class Figures:
    """The figures of a cell or a pair over all tables: value, low, high and truth; in which it was told from 0."""

    rows: list[tuple[float, float, float, float]] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)

    def add(self, found: Estimate, ends: tuple[float, float], truth: float) -> None:
        """One table's."""
        self.rows.append((found.value, *ends, truth))

    @property
    def coverage(self) -> float:
        """The percentage of intervals that hold the truth."""
        _, low, high, truth = np.array(self.rows).T
        return 100 * float(((low <= truth) & (truth <= high)).mean())

    @property
    def error(self) -> float:
        """The standard error that the figures turned out to have."""
        value, _, _, truth = np.array(self.rows).T
        return float(np.sqrt(((value - truth) ** 2).mean()))

    @property
    def width(self) -> float:
        """The mean width, as a multiple of that of one who knows the standard error."""
        _, low, high, _ = np.array(self.rows).T
        return float((high - low).mean() / (2 * ndtri(1 - LEVEL / 2) * self.error))

    @property
    def power(self) -> float:
        """The percentage of tables in which it was told from 0."""
        return 100 * float(np.mean(self.told))

    @property
    def known_power(self) -> float:
        """The same of one who knows the standard error, for a difference of STEP."""
        return 100 * float(ndtr(STEP / self.error - ndtri(1 - LEVEL / 2)))


def of_seeds(n: int) -> str:
    """So many seeds, in words."""
    return f"{n} seed{'' if n == 1 else 's'}"


def covered(what: str, figures: Iterable[Figures], n: int | None) -> list[Row]:
    """How many intervals hold the truth, and how wide they are; n None where nothing is wanted of them."""
    figures = list(figures)
    coverage = Samples(tuple(each.coverage for each in figures))
    width = Samples(tuple(each.width for each in figures))
    most = _MOST if n is not None and n >= _ENOUGH else 100.0
    wanted = "" if n is None else f"{_LEAST:g} to {most:g} %" if most < 100 else f"at least {_LEAST:g} %"
    narrow = n is not None and n >= _ENOUGH
    return [
        _row(f"{what}: intervals that hold the truth", "%", coverage, wanted, lambda x: _LEAST <= x <= most),
        _row(
            f"{what}: width beside that of one who knows the variances",
            "times",
            width,
            f"at most {_WIDEST:g} times" if narrow else "",
            lambda x: x <= _WIDEST,
        ),
    ]


def ties(what: str, dropped: Sequence[bool]) -> Row:
    """In how many tables of equal cells any is told from the best."""
    share = Samples((100 * float(np.mean(dropped)),))
    most = f"at most {_MOST_TIES:g} %"
    return _row(f"ties wrongly dropped, {what}", "% of tables", share, most, lambda x: x <= _MOST_TIES)


def power(what: str, cells: Cells, steps: Mapping[tuple[int, int], Figures], by_ties: NDArray[np.bool_]) -> list[Row]:
    """In how many tables a difference of STEP is found: of two cells, and by ties among all C of them (T, C - 1)."""
    rows = []
    for paired in (True, False):
        mine = [figures for pair, figures in steps.items() if cells.paired(*pair) == paired]
        rows.append(
            Row(
                group=GROUP,
                what=f"a difference of 3 points, {what}, two cells {'paired' if paired else 'not paired'}: found",
                unit="%",
                ours=Samples(tuple(each.power for each in mine)),
                against="one who knows the variances",
                theirs=Samples(tuple(each.known_power for each in mine)),
                wanted=f"a median of at least {_LEAST_POWER:g} %",
                holds=float(np.median([each.power for each in mine])) >= _LEAST_POWER,
                note="pairs differ by how much their seeds vary",
            )
        )
    by_cell = Samples(tuple((100 * by_ties.mean(axis=0)).tolist()))
    many = by_ties.shape[1] + 1
    what = f"a difference of 3 points, {what}, the best of {many} cells ahead of all others: each told from it"
    return [*rows, _row(what, "%", by_cell, "", lambda _: True)]


def components(cells: Cells, estimates: Sequence[Sequence[Estimate]]) -> list[Row]:
    """The model's accuracies and components of variance beside the registry's, in points."""
    rows = []
    for c, name in enumerate(cells.names):
        ours, theirs = _parts([each[c] for each in estimates]), _parts([cells.found[c]])
        for part, value in ours.items():
            rows.append(
                Row(
                    group=GROUP,
                    what=f"components of variance, {name}: {part}",
                    unit="points",
                    ours=Samples((value,)),
                    against=f"the registry, {cells.found[c].n} seeds",
                    theirs=Samples((theirs[part],)),
                )
            )
    return rows


def _parts(found: Sequence[Estimate]) -> dict[str, float]:
    """Their roots in points, from the mean of the variances that estimates say."""
    variances = {
        "seeds": [each.one_seed or 0.0 for each in found],
        "speakers": [each.of_clusters - each.of_both for each in found],
        "seeds x speakers": [each.n * each.of_both for each in found],
    }
    accuracy = {"accuracy": 100 * float(np.mean([each.value for each in found]))}
    return accuracy | {part: 100 * float(np.sqrt(max(np.mean(each), 0))) for part, each in variances.items()}


def _row(what: str, unit: str, ours: Samples, wanted: str, holds: Callable[[float], bool]) -> Row:
    """A row that holds where each of its values does."""
    kept = all(map(holds, ours.values)) if wanted else None
    return Row(group=GROUP, what=what, unit=unit, ours=ours, wanted=wanted, holds=kept)
