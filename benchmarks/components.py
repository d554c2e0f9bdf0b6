"""What a registry's answers vary by: a probit model of its cells, fitted by moments, and answers drawn from it.

A run of seed s answers clip i of speaker k right where

    h + seed + speaker + clip + seed x speaker + noise > 0,

all of them normal, with variances of 1 in sum, so that Phi(h) is a cell's accuracy over all seeds, speakers and clips.
Cells answer the same clips; they share seeds, and what hangs on them, where equal seeds gave the same first weights.
How much two cells share (or one cell, with itself) is read off pairs of answers:

    of other seeds, to another clip of the same speaker      speaker
    of other seeds, to the same clip                         speaker + clip
    of the same seed, to clips of two speakers               seed
    of the same seed, to another clip of the same speaker    seed + speaker + seed x speaker
    of the same seed, to the same clip                       all, noise too

The covariance of two such answers gives the correlation of the normal numbers behind them. It is taken about the cells'
own means, for a speaker with many clips is not answered as well as one with few. Covariances that no numbers can have
are moved to the nearest that some can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t

from kws.reports.estimates import Estimate, Sample, of_cell, of_means

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Sizes = Callable[[np.random.Generator], Integers]
FACTORS = ("seed", "speaker", "clip", "seed x speaker", "noise")
_OF_SEEDS = ("seed", "seed x speaker", "noise")  # which different networks do not share


@dataclass(frozen=True, kw_only=True)
class Cells:
    """C cells that answer the same clips; `shared` has the latent covariances (C, C) of each factor.

    Cells of one group share seeds. `sizes` is how many clips each of the registry's speakers has.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    accuracies: Floats  # (C,)
    shared: dict[str, Floats]
    sizes: Integers
    found: tuple[Estimate, ...]  # what the registry says of each

    def alike(self, cell: int) -> Cells:
        """As many cells that are all like one, and share seeds, speakers and clips as much as these do on average."""
        count, shared = len(self.names), {}
        for factor, covariance in self.shared.items():
            scale = np.sqrt(np.diag(covariance))
            others = (covariance / np.outer(scale, scale))[~np.eye(count, dtype=bool)].mean()
            correlations = np.full((count, count), 0.0 if factor in _OF_SEEDS else others)
            np.fill_diagonal(correlations, 1.0)
            shared[factor] = covariance[cell, cell] * correlations
        return replace(self, groups=(self.groups[cell],) * count, shared=shared)

    def paired(self, one: int, other: int) -> bool:
        """Whether two cells share seeds."""
        return self.groups[one] == self.groups[other]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table's draw: the latent numbers (n, N, C) of n seeds and N clips, and each clip's speaker (N,)."""

    latent: NDArray[np.float32]
    of_seeds: NDArray[np.float32]  # (n, C), what of them is the seed
    speakers: Integers

    def right(self, cell: int, accuracy: float, seeds: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Which clips each seed got right (n, N), for a cell with that accuracy over all seeds and clips."""
        latent = self.latent if seeds is None else self.latent[seeds]
        return np.asarray(latent[:, :, cell] > -ndtri(accuracy))

    def sample(self, cell: int, accuracy: float, seeds: Sequence[int] | None = None) -> Sample:
        """The same as a sample."""
        right = self.right(cell, accuracy, seeds)
        seeds = range(len(right)) if seeds is None else seeds
        return of_means(seeds, right.astype(float), self.speakers, share=True)


class Draws:
    """Tables, one after the other, always the same ones for a seed."""

    def __init__(self, cells: Cells, seed: int, sizes: Sizes) -> None:
        self._cells, self._sizes = cells, sizes
        self._draw = np.random.default_rng(seed)
        self._mixing = {}
        for factor, covariance in cells.shared.items():
            values, vectors = np.linalg.eigh(covariance)
            self._mixing[factor] = (vectors * np.sqrt(np.maximum(values, 0))).T.astype(np.float32)

    def table(self, n: int) -> Table:
        """The next one, with n seeds."""
        sizes = self._sizes(self._draw)
        speakers = np.repeat(np.arange(len(sizes)), sizes)
        clips = len(speakers)
        of_seeds = self._normal("seed", n)
        latent = self._normal("noise", n, clips)
        latent += self._normal("seed x speaker", n, len(sizes))[:, speakers]
        latent += self._normal("clip", clips) + self._normal("speaker", len(sizes))[speakers] + of_seeds[:, None]
        return Table(latent=latent, of_seeds=of_seeds, speakers=speakers)

    def of_run(self, table: Table, cell: int, accuracy: float) -> float:
        """The true accuracy over all clips of a table's first seed."""
        left = 1 - self._cells.shared["seed"][cell, cell]
        return float(ndtr((ndtri(accuracy) + table.of_seeds[0, cell]) / np.sqrt(left)))

    def _normal(self, factor: str, *shape: int) -> NDArray[np.float32]:
        made = self._draw.standard_normal((*shape, len(self._cells.names)), dtype=np.float32)
        return made @ self._mixing[factor]


def fit(
    names: Sequence[str], groups: Sequence[str], samples: Sequence[Sample], rights: Sequence[Floats], speakers: Integers
) -> Cells:
    """The cells whose answers have these moments, from what each of a cell's seeds got right (n, N)."""
    count = len(names)
    shared = {factor: np.zeros((count, count)) for factor in FACTORS}
    for a in range(count):
        for b in range(a, count):
            for factor, value in _shared(samples[a].seeds, samples[b].seeds, rights[a], rights[b], speakers).items():
                if factor not in _OF_SEEDS or groups[a] == groups[b]:
                    shared[factor][a, b] = shared[factor][b, a] = value
    for factor in FACTORS[:-1]:
        shared[factor] = _possible(shared[factor])
    np.fill_diagonal(shared["noise"], 1 - sum(np.diag(shared[factor]) for factor in FACTORS[:-1]))
    return Cells(
        names=tuple(names),
        groups=tuple(groups),
        accuracies=np.array([right.mean() for right in rights]),
        shared=shared | {"noise": _possible(shared["noise"])},
        sizes=np.bincount(speakers),
        found=tuple(of_cell(sample) for sample in samples),
    )


def _shared(
    seeds: Sequence[int], others: Sequence[int], right: Floats, other: Floats, speakers: Integers
) -> dict[str, float]:
    """The latent covariances of two cells, by factor."""
    sizes = np.bincount(speakers)
    clips, within = len(speakers), int((sizes**2).sum())  # pairs of clips: clips**2, and of the same speaker
    thresholds = ndtri(right.mean()), ndtri(other.mean())
    sides = right - right.mean(), other - other.mean()
    common = sorted(set(seeds) & set(others))
    at, to = ([side.index(seed) for seed in common] for side in (list(seeds), list(others)))
    of_speakers = [np.stack([np.bincount(speakers, row) for row in side]) for side in sides]

    def products(x: Floats, y: Floats) -> Floats:
        """The sums of products over pairs of the same seed, and of different ones."""
        same = (x[at] * y[to]).sum()
        return np.array([same, (x.sum(axis=0) * y.sum(axis=0)).sum() - same])

    same_clip, same_speaker = products(*sides), products(*of_speakers)
    any_clip = products(*(side.sum(axis=1, keepdims=True) for side in sides))
    pairs = np.maximum([len(common), len(seeds) * len(others) - len(common)], 1)
    apart = (any_clip - same_speaker) / (pairs * (clips**2 - within))
    together = (same_speaker - same_clip) / (pairs * (within - clips))
    same = same_clip / (pairs * clips)
    # Each of the same seed, and of different ones; what pairs have that share nothing is taken off.
    latent = [[correlation(*thresholds, each - apart[1]) for each in kind] for kind in (apart, together, same)]
    (seed, _), (seed_speaker, speaker), (everything, speaker_clip) = latent
    found = {"speaker": speaker, "clip": speaker_clip - speaker}
    if common:
        found |= {"seed": seed, "seed x speaker": seed_speaker - seed - speaker}
        found["noise"] = everything - sum(found.values())  # of a cell with itself, its diagonal is made elsewhere
    return found


def correlation(h: float, k: float, covariance: float) -> float:
    """The correlation of standard normal x and y for which x + h > 0 and y + k > 0 have this covariance."""

    def off(rho: float) -> float:
        return both_positive(h, k, rho) - float(ndtr(h) * ndtr(k)) - covariance

    least, most = -0.999, 0.999
    if off(least) >= 0:
        return least
    return most if off(most) <= 0 else float(brentq(off, least, most, xtol=1e-10))


def both_positive(h: float, k: float, rho: float) -> float:
    """The probability of x + h > 0 and y + k > 0 (Owen, Annals of Mathematical Statistics 27, 1956); h and k not 0."""
    root = np.sqrt(1 - rho * rho)
    less = owens_t(h, (k / h - rho) / root) + owens_t(k, (h / k - rho) / root) + (0.5 if h * k < 0 else 0.0)
    return float((ndtr(h) + ndtr(k)) / 2 - less)


def _possible(covariance: Floats) -> Floats:
    """The nearest matrix without negative variances."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)
