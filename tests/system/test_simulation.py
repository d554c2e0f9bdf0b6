"""The simulation that the intervals and ties are held to: its model, its shortcut, and a run of it on few tables."""

from __future__ import annotations

import sys
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from places import ROOT
from scipy import stats

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from benchmarks import coverage  # noqa: E402 - the repository's root is not where tests are looked for
from benchmarks.components import FACTORS, Cells, Draws, both_positive, correlation, fit  # noqa: E402
from benchmarks.moments import Moments  # noqa: E402
from kws.reports.estimates import of_cell, of_difference  # noqa: E402

SHARES = {"seed": 0.02, "speaker": 0.1, "clip": 0.6, "seed x speaker": 0.05, "noise": 0.23}
TOGETHER = {"seed": 0.5, "speaker": 0.8, "clip": 0.9, "seed x speaker": 0.2, "noise": 0.1}


def make_cells(*, speakers: int = 60, groups: tuple[str, ...] = ("fc", "fc", "cnn")) -> Cells:
    """Cells of which the first two share seeds, in a model that is known."""
    count = len(groups)
    shared = {}
    for factor in FACTORS:
        matrix = np.full((count, count), TOGETHER[factor])
        if factor in ("seed", "seed x speaker", "noise"):
            matrix[np.not_equal.outer(groups, groups)] = 0.0
        np.fill_diagonal(matrix, 1.0)
        shared[factor] = SHARES[factor] * matrix
    accuracies = np.linspace(0.8, 0.93, count)
    sizes = np.random.default_rng(0).integers(1, 12, speakers)
    names = tuple(f"{group} {place}" for place, group in enumerate(groups))
    return Cells(names=names, groups=groups, accuracies=accuracies, shared=shared, sizes=sizes, found=())


def drawn(cells: Cells, n: int, seed: int = 0):
    """A table of these cells, and their samples."""
    table = Draws(cells, seed, lambda draw: draw.choice(cells.sizes, len(cells.sizes))).table(n)
    return table, [table.sample(c, accuracy) for c, accuracy in enumerate(cells.accuracies)]


@pytest.mark.parametrize("h", [1.2, -0.4])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.3, 0.9])
def test_the_probability_that_two_normal_numbers_are_positive_is_scipys(h, rho):
    theirs = stats.multivariate_normal.cdf([h, 0.7], cov=[[1, rho], [rho, 1]])
    assert both_positive(h, 0.7, rho) == pytest.approx(theirs, abs=1e-6)
    covariance = theirs - stats.norm.cdf(h) * stats.norm.cdf(0.7)
    assert correlation(h, 0.7, covariance) == pytest.approx(rho, abs=1e-4)


def test_the_model_is_found_again_in_answers_drawn_from_it():
    cells = make_cells(speakers=700)
    table, samples = drawn(cells, 60)
    rights = [table.right(c, accuracy).astype(float) for c, accuracy in enumerate(cells.accuracies)]
    found = fit(cells.names, cells.groups, samples, rights, table.speakers)
    assert found.accuracies == pytest.approx(cells.accuracies, abs=0.03)
    for factor in FACTORS:
        assert found.shared[factor] == pytest.approx(cells.shared[factor], abs=0.03), factor


@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_the_shortcut_gives_the_estimates_that_the_reports_make(n):
    cells = make_cells(groups=("fc", "fc", "cnn", "fc"))
    for seed in range(5):
        _, samples = drawn(cells, n, seed)
        found = Moments(samples)
        pairs = [(mine, of_cell(sample)) for mine, sample in zip(found.cells, samples, strict=True)]
        for a, b in combinations(range(len(samples)), 2):
            paired = cells.paired(a, b)
            theirs = of_difference(samples[a], samples[b], paired=paired)
            pairs.append((found.difference(a, b, paired=paired), theirs))
        for mine, theirs in pairs:
            for name in ("value", "n", "clusters", "one_seed", "of_seeds", "of_clusters", "of_both", "seed_freedom",
                         "clips", "freedom", "standard_error"):  # fmt: skip
                one, other = getattr(mine, name), getattr(theirs, name)
                assert one == (None if other is None else pytest.approx(other, rel=1e-9, abs=1e-15)), name
            assert mine.interval() == pytest.approx(theirs.interval(), rel=1e-9)
            assert mine.p() == pytest.approx(theirs.p(), rel=1e-6)


def test_few_tables_of_the_registry_that_ships_give_every_row(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "QUICK_TABLES", 30)
    rows = {row.what: row for row in coverage.measure(SimpleNamespace(quick=True, folder=tmp_path))}
    assert len(rows) == 92
    for n in coverage.SEEDS:
        truth = rows[f"cells, {n} seed{'s' * (n > 1)}: intervals that hold the truth"]
        assert truth.ours.n == 7 and 80 <= truth.ours.median <= 100
    width = rows["cells, 20 seeds: width beside that of one who knows the variances"]
    assert 0.7 < width.ours.median < 1.4
    for row in rows.values():
        if row.what.startswith("components of variance"):
            assert row.ours.median == pytest.approx(row.theirs.median, abs=0.6), row.what
        assert (row.holds is None) == (not row.wanted)
    assert rows["ties wrongly dropped, 7 equal cells, 20 seeds"].ours.median <= 25
    assert rows["a difference of 3 points, 5 seeds, two cells paired: found"].ours.median > 50
