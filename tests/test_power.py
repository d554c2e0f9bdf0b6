"""What would settle a comparison: its plan is the interval's own error, and simulated repetitions bear it out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kws.reports.estimates import Components, Estimate, Sample, of_cell, of_difference, of_means
from kws.reports.power import planned, settling
from kws.reports.student import quantile


def estimate(value: float, one_seed: float, of_clusters: float, n: int = 5) -> Estimate:
    return Estimate(
        value=value, n=n, clusters=200, one_seed=one_seed, of_seeds=one_seed / n, of_clusters=of_clusters, of_both=0.0,
        seed_freedom=n - 1.0,
        components=Components(seeds=(n, 0), pairs=0, paired=False, of_seeds=(one_seed, 0.0, 0.0), of_both=(0.0,) * 3),
    )  # fmt: skip


def drawn(draw, seeds: int, speakers: int, *, mean: float, spread: float, hard: np.ndarray, own: float) -> np.ndarray:
    """Values (n, G) of a crossed layout: a mean, what the seed adds, what the speaker adds, and what both add."""
    return mean + draw.normal(0, spread, (seeds, 1)) + hard + draw.normal(0, own, (seeds, speakers))


def difference(draw, seeds: tuple[int, int], speakers: int, *, value: float, spread: float, clips: float, own: float):
    """The estimated difference of two cells whose true one is `value`; the speakers add to it, too."""
    sides = []
    hard = draw.normal(0, clips, speakers)
    for n, mean, share in zip(seeds, (value, 0.0), (hard, np.zeros(speakers)), strict=True):
        made = drawn(draw, n, speakers, mean=mean, spread=spread, hard=share, own=own)
        sides.append(of_means(range(n), made, np.arange(speakers)))
    return of_difference(*sides, paired=False)


@pytest.mark.parametrize("seeds", [((0, 1, 2), (0, 1, 2)), ((0, 1, 2, 3, 4), (3, 4, 5)), (range(12), range(4))])
@pytest.mark.parametrize("paired", [True, False])
def test_the_plan_of_what_is_there_is_the_estimate_itself(seeds, paired):
    draw = np.random.default_rng(3)
    sides = [
        of_means(tuple(each), drawn(draw, len(each), 60, mean=0.8, spread=0.05, hard=draw.normal(0, 0.4, 60), own=0.1),
                 np.arange(60))
        for each in seeds
    ]  # fmt: skip
    for found in (of_difference(*sides, paired=paired), of_cell(sides[0])):
        made = planned(found, found.components.seeds)
        for field in dataclasses.fields(Estimate):
            if field.name != "components":
                wanted = getattr(found, field.name)
                assert getattr(made, field.name) == pytest.approx(wanted, abs=1e-15), field.name


def test_planned_errors_are_those_of_as_many_seeds_and_speakers():
    """The plan made of few seeds and speakers, on average, against estimates with more of both."""
    draw = np.random.default_rng(0)
    truth = {"value": 0.02, "spread": 0.02, "clips": 0.2, "own": 0.1}
    few = [difference(draw, (6, 4), 80, **truth) for _ in range(200)]
    many = [difference(draw, (20, 12), 240, **truth) for _ in range(200)]
    plans = [planned(each, (20, 12), 3.0) for each in few]
    for of in ("of_seeds", "of_clusters", "of_both", "variance"):
        here, there = (np.mean([getattr(each, of) for each in found]) for found in (plans, many))
        assert here == pytest.approx(there, rel=0.2), of
    assert {each.clusters for each in plans} == {240}


CASES = [  # seeds there, speakers, what seeds and speakers add, and the true difference to what is claimed
    ((5, 5), 200, 0.010, 0.05, 0.016),
    ((30, 5), 200, 0.015, 0.05, 0.018),
    ((10, 10), 100, 0.010, 0.20, 0.040),
    ((6, 3), 60, 0.010, 0.20, 0.060),
]


@pytest.mark.parametrize(("seeds", "speakers", "spread", "clips", "distance"), CASES)
def test_with_what_the_plan_says_four_of_five_repetitions_are_settled(seeds, speakers, spread, clips, distance):
    """Repetitions are drawn from the true variances, with other seeds and speakers each time."""
    truth = {"value": distance, "spread": spread, "clips": clips, "own": 0.05}
    exact = expected(seeds, speakers, spread, clips, own=0.05, value=distance)
    plan = settling(exact, distance, 0.9875)
    assert plan is not None
    now = tuple(n + more for n, more in zip(seeds, plan.more_seeds, strict=True))
    assert now != seeds or plan.needs_speakers
    draw = np.random.default_rng(1)
    settled = 0
    for _ in range(300):
        low, high = difference(draw, now, round(speakers * plan.speakers), **truth).interval(0.9875)
        settled += low > 0 or high < 0
    assert settled / 300 == pytest.approx(0.8, abs=0.06), (now, plan.speakers)


def expected(seeds, speakers, spread, clips, *, own, value) -> Estimate:
    """The estimate whose components are the true ones."""
    both = own**2 / speakers
    one = spread**2 + both
    (n, m), of_both = seeds, both / seeds[0] + both / seeds[1]
    return Estimate(
        value=value, n=min(seeds), clusters=speakers, one_seed=2 * one, of_seeds=one / n + one / m,
        of_clusters=clips**2 / speakers + of_both, of_both=of_both, seed_freedom=float(n + m - 2),
        components=Components(
            seeds=seeds, pairs=0, paired=False, of_seeds=(one, one, 0.0), of_both=(both, both, 0.0)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("n", [2, 3, 5, 40])
@pytest.mark.parametrize("distance", [0.016, 0.02, 0.05])
def test_as_many_seeds_as_it_says_settle_it_and_one_fewer_do_not(n, distance):
    """Whether they do is what those seeds could have found: few seeds also have few degrees of freedom."""
    plan = settling(estimate(distance, 0.02**2, 0.005**2, n), distance, 0.95)
    needed = n + plan.more_seeds[0]
    found = [estimate(distance, 0.02**2, 0.005**2, each).detectable() for each in (needed, max(needed - 1, 2))]
    assert not plan.needs_speakers
    assert found[0] <= distance
    assert needed == n or distance < found[1]


@pytest.mark.parametrize("values", [(8.0, 12.0), (7.0, 13.0, 10.0), (8.0, 9.0, 14.0, 5.0)])
def test_what_so_many_seeds_have_not_settled_is_not_settled_by_none(values):
    found = of_cell(Sample(tuple(range(len(values))), np.array(values), None))
    low, high = found.interval(0.9875)
    assert low < 0 < high
    assert settling(found, found.value, 0.9875).more_seeds[0] > 0


def test_the_cell_with_fewer_seeds_gets_more_of_them_first():
    uneven = expected((30, 5), 200, 0.015, 0.05, own=0.05, value=0.018)
    assert settling(uneven, 0.018, 0.9875).more_seeds[0] == 0
    assert settling(uneven, 0.010, 0.9875).more_seeds[0] > 0
    first, second = (n + more for n, more in zip((30, 5), settling(uneven, 0.010, 0.9875).more_seeds, strict=True))
    assert first == second


def test_what_the_clips_leave_open_is_settled_by_more_speakers_alone():
    """As many as make the error of the clips small enough, by the formula of the smallest difference that is found."""
    exact = estimate(0.01, 0.002**2, 0.005**2, 50)
    plan = settling(exact, 0.01, 0.95)
    assert plan.needs_speakers and plan.more_seeds == (0, 0)
    allowed = (0.01 / (quantile(0.95, 900) + quantile(0.6, 900))) ** 2 - 0.002**2 / 50
    assert plan.speakers == pytest.approx(0.005**2 / allowed, rel=0.02)


@pytest.mark.parametrize("distance", [0.0, 1e-9])
def test_what_is_too_near_is_settled_by_nothing(distance):
    assert settling(estimate(distance, 0.02**2, 0.005**2), distance, 0.95) is None
    assert settling(estimate(distance, 0.02**2, 0.0), distance, 0.95) is None


def test_a_single_seed_has_no_plan():
    found = of_difference(Sample((0,), np.array([0.9]), None), Sample((0, 1), np.array([0.5, 0.6]), None), paired=False)
    assert settling(found, 0.3, 0.95) is None
