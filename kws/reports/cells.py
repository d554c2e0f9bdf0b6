"""Cells: one recipe over its seeds, with the uncertainty of its mean and whether it is the best.

Imports numpy only if a cell has an interval.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from kws.events import TEST, VALIDATION, DataCard, people
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.metrics import Metric
from kws.reports.predictions import Predictions

if TYPE_CHECKING:
    from kws.reports.estimates import Estimate, Sample

ALPHA = 0.05
_ROUNDING = 1e-12  # means of the same clip counts, summed in another order, differ by less
Place = tuple[str, str]  # a row and a column


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One recipe over its n seeds: the metric's mean, its 95 % interval, and how it compares with the best cell.

    For a censored metric the mean is the median over all seeds. It is infinite if half of them or more did not reach
    it.
    """

    row: str
    column: str
    arch: str
    opt: str
    parameters: int
    n: int
    mean: float
    std: float | None  # sample standard deviation over the seeds; None for one seed
    low: float | None  # of the interval
    high: float | None
    interval_over: str | None  # "seeds and speakers", "seeds and clips", "speakers", "clips" or "seeds"
    standard_error: float | None
    freedom: float | None  # degrees of freedom of the standard error
    reached: int | None  # for a censored metric: the number of seeds that reached it
    best: bool
    tie: bool  # not significantly different from the best
    p: float | None  # p value against the best; None if not tested
    seeds: tuple[int, ...]
    runs: tuple[str, ...]  # in the order of `seeds`, like `values`
    values: tuple[float, ...]  # infinite for a seed that did not reach a censored metric
    commits: tuple[str, ...]


@dataclass(frozen=True)
class Clips:
    """The cluster (N,) of each test clip, and what the clusters are: "speakers" or "clips"; see kws.reports.estimates.

    Silence has in place of a speaker the part of a recording that it was cut from.

    A single cluster would say nothing about others. If one speaker has all clips, each clip is a cluster. If audio that
    all speakers share would merge them into one cluster, speakers stay separate.
    """

    clusters: Any
    over: str

    @classmethod
    def of(cls, registry: RegistryReader, card: DataCard) -> tuple[Clips, int | None]:
        """The clips of a data set, and its number of speakers; None if the speakers are unknown."""
        speakers = registry.speakers(card.fingerprint, TEST)
        digests = registry.digests(card.fingerprint, TEST)
        known = None if speakers is None else len(people(speakers))
        return cls.grouped(len(card.labels[TEST]), speakers, digests), known

    @classmethod
    def grouped(cls, clips: int, speakers: Sequence[str] | None, digests: Sequence[bytes] | None) -> Clips:
        """So many clips by their speakers and sounds, if these are known."""
        from kws.reports.estimates import clusters_of

        for names, sounds in ((speakers, digests), (speakers, None), (None, digests), (None, None)):
            clusters = clusters_of(clips, names, sounds)
            if clusters.max(initial=0) > 0:
                break
        return cls(clusters, "clips" if names is None else "speakers")


def samples_of(
    answers: Predictions,
    metric: Metric,
    by_cell: Mapping[Place, Mapping[int, Run]],
    values: Mapping[Place, Mapping[int, float]],
    clips: Clips,
) -> dict[Place, Sample]:
    """The sample of each cell: the values of its seeds, and how much each cluster of test clips moves them."""
    import numpy as np

    from kws.reports.estimates import Sample

    made = {}
    for place, found in values.items():
        runs = [by_cell[place][seed] for seed in found]
        influences = metric.influences(answers, runs, clips.clusters) if metric.influences else None
        count = len(clips.clusters) if metric.percent and metric.of_test else None
        made[place] = Sample(tuple(found), np.array(list(found.values()), dtype=float), influences, count)
    return made


def mean_of(values: Mapping[int, float], metric: Metric) -> float:
    """The mean over the seeds; for a censored metric the median, where a seed that did not reach it ranks last."""
    return (statistics.median if metric.censored else statistics.mean)(values.values())


def cell_of(
    place: Place,
    seeds: Mapping[int, Run],
    values: Mapping[int, float],
    metric: Metric,
    means: Mapping[Place, float],
    best: float,
    p_values: Mapping[Place, float],
) -> Cell:
    """A cell from its runs and values by seed, without an interval."""
    runs = [seeds[seed] for seed in values]
    known = [value for value in values.values() if math.isfinite(value)]
    mean, p = means[place], p_values.get(place)
    spread = len(known) > 1 and not metric.exact and not metric.censored
    leads = mean == best or math.isclose(mean, best, rel_tol=_ROUNDING)
    return Cell(
        row=place[0],
        column=place[1],
        arch=runs[0].recipe.arch,
        opt=runs[0].recipe.opt,
        parameters=runs[0].parameters,
        n=len(values),
        mean=mean,
        std=math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)) if spread else None,
        low=None,
        high=None,
        interval_over=None,
        standard_error=None,
        freedom=None,
        reached=len(known) if metric.censored else None,
        best=leads and math.isfinite(mean),
        tie=p is not None and p > ALPHA and not leads,
        p=None if leads else p,
        seeds=tuple(values),
        runs=tuple(run.id for run in runs),
        values=tuple(values.values()),
        commits=tuple(sorted({commit for run in runs if (commit := run.environment.git_commit)})),
    )


def with_interval(cell: Cell, metric: Metric, sample: Sample | None, card: DataCard, clips: Clips) -> Cell:
    """The cell with its interval, limited to the metric's range; unchanged if nothing is known about its error."""
    if sample is None or metric.exact:
        return cell
    from kws.reports.estimates import of_cell

    estimate = of_cell(sample)
    over = ["seeds"] if cell.n > 1 else []
    if sample.influences is not None:
        over.append(clips.over)
    elif metric.percent:  # the registry keeps how many clips were right, not which
        count = len(card.labels[TEST if metric.of_test else VALIDATION])
        share = min(max(estimate.value, 0.0), 1.0)
        error = share * (1 - share) / max(count, 1)
        estimate = dataclasses.replace(estimate, of_clusters=error, clusters=count, clips=count)
        over.append("clips")
    if not over:
        return cell
    low, high = estimate.proportion_interval() if metric.percent else estimate.interval()
    return dataclasses.replace(
        cell,
        low=low if metric.percent else max(low, 0.0),  # no metric here is below 0
        high=high,
        interval_over=" and ".join(over),
        standard_error=estimate.standard_error,
        freedom=estimate.freedom if math.isfinite(estimate.freedom) else None,
    )


def same_weights(one: Run, other: Run) -> bool:
    """Whether equal seeds give two runs the same initial weights: true if they train the same network."""
    return bool(one.recipe.network == other.recipe.network and one.recipe.arch == other.recipe.arch)


def differences_of(
    samples: Mapping[Place, Sample], by_cell: Mapping[Place, Mapping[int, Run]]
) -> dict[tuple[Place, Place], Estimate]:
    """The difference of every pair of cells: the first minus the second."""
    from kws.reports.estimates import of_difference

    runs = {place: next(iter(seeds.values())) for place, seeds in by_cell.items()}
    return {
        (one, other): of_difference(samples[one], samples[other], paired=same_weights(runs[one], runs[other]))
        for one, other in combinations(samples, 2)
    }
