"""Table 1 of random registries against scipy, scikit-learn and formulas written out: means, intervals, F1 and ties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from ledger import ENVIRONMENT, PARAMETERS, make_card, make_recipe, start
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from kws.events import Evaluation
from kws.registry.store import Registry
from kws.reports.cells import ALPHA
from kws.reports.estimates import of_difference, of_means
from kws.reports.metrics import metric
from kws.reports.table1 import tables

CELLS = [("fc", "sgd"), ("fc", "adam"), ("cnn", "sgd"), ("cnn", "adam")]


def random_registry(path, seed: int):
    """Answers of 2 to 5 seeds a cell, whose networks differ by a few points or not at all; and what each answered."""
    draw = np.random.default_rng(seed)
    card = make_card(clips=int(draw.integers(60, 400)))
    labels = np.frombuffer(card.labels["test"], np.uint8)
    hard = draw.random(len(labels))  # clips that are hard are so for every network
    answers: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    with Registry(path, create=True) as registry:
        for place, (arch, opt) in enumerate(CELLS):
            right = 0.75 + 0.05 * place * draw.random()
            for number in range(int(draw.integers(2, 6))):
                wrong = 0.6 * hard + 0.4 * draw.random(len(labels)) > right
                given = np.where(wrong, (labels + draw.integers(1, 3, len(labels))) % 3, labels).astype(np.uint8)
                answers.setdefault((arch, opt), {})[number] = given
                run_id = start(
                    registry, make_recipe(arch, opt, seed=number), card, parameters=PARAMETERS[arch],
                    environment=ENVIRONMENT,
                )  # fmt: skip
                evaluation = Evaluation(
                    split="test", loss=0.5, objective=0.5, accuracy=float((given == labels).mean()),
                    predictions=given.tobytes(), labels=labels.tobytes(),
                )  # fmt: skip
                registry.finish(run_id, evaluation, card, b"")
    return answers, labels


def reference(one: dict[int, np.ndarray], other: dict[int, np.ndarray] | None, labels: np.ndarray):
    """The mean, standard error, degrees of freedom and those of the seeds, of a cell or a difference of cells.

    The difference is that of two cells that share no seeds.

    Computed from a two-way layout of seeds and clips, entry by entry, without influence values.
    """
    sides = [np.array([side[seed] == labels for seed in sorted(side)], float) for side in (one, other) if side]
    signs, clips = (1, -1), len(labels)
    value = sum(sign * side.mean() for sign, side in zip(signs, sides, strict=False))
    of_seeds = [side.mean(axis=1).var(ddof=1) / len(side) for side in sides]
    profile = sum(sign * side.mean(axis=0) for sign, side in zip(signs, sides, strict=False))
    of_clips = profile.var(ddof=1) / clips
    of_both = 0.0
    for side in sides:
        n = len(side)
        left = side - side.mean(axis=1, keepdims=True) - side.mean(axis=0, keepdims=True) + side.mean()
        of_both += (left**2).sum() / (n * (n - 1) * clips**2)
    total = of_clips + max(sum(of_seeds) - of_both, 0)
    terms = sum(part**2 / (len(side) - 1) for part, side in zip(of_seeds, sides, strict=True))
    welch = sum(of_seeds) ** 2 / terms if terms else 0
    below = (sum(of_seeds) ** 2 / welch if welch else 0) + of_clips**2 / (clips - 1)
    freedom = max(total**2 / below, 1)
    two = min(map(len, sides)) == 2 or welch < 2
    return value, math.sqrt(total), min(freedom, 4.0) if welch and two else freedom, welch


@pytest.mark.parametrize("seed", range(6))
def test_a_random_registrys_table_is_that_of_the_reference(tmp_path, seed):
    answers, labels = random_registry(tmp_path / "runs.db", seed)
    with Registry(tmp_path / "runs.db") as registry:
        (table,) = tables(registry, registry.runs())
        (of_f1,) = tables(registry, registry.runs(), metric=metric("f1"))
    for cell, f1 in zip(table.cells, of_f1.cells, strict=True):
        given = answers[cell.arch, cell.opt]
        values = [accuracy_score(labels, given[number]) for number in cell.seeds]
        assert cell.values == pytest.approx(values)
        assert (cell.mean, cell.std) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)))
        mean, error, freedom, _ = reference(given, None, labels)
        assert (cell.mean, cell.standard_error, cell.freedom) == pytest.approx((mean, error, freedom), abs=1e-9)
        # Wilson's interval of as many independent clips as have this error: where the score test no longer rejects.
        clips = mean * (1 - mean) / error**2
        for end in (cell.low, cell.high):
            score = abs(mean - end) / math.sqrt(end * (1 - end) / clips)
            assert score == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-6)
        macro = [f1_score(labels, given[number], average="macro") for number in cell.seeds]
        assert f1.mean == pytest.approx(np.mean(macro))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_from_the_best_is_what_the_reference_drops(tmp_path, seed):
    answers, labels = random_registry(tmp_path / "runs.db", seed)
    with Registry(tmp_path / "runs.db") as registry:
        (table,) = tables(registry, registry.runs())
    cells = {(cell.arch, cell.opt): cell for cell in table.cells}
    p = {}
    for one, other in itertools.combinations(cells, 2):
        if one[0] != other[0]:  # networks: their seeds are drawn apart
            value, error, freedom, of_seeds = reference(answers[one], answers[other], labels)
        else:
            rights = [
                np.array([side[s] == labels for s in sorted(side)], float) for side in map(answers.get, (one, other))
            ]
            seeds = [sorted(answers[place]) for place in (one, other)]
            sample = [of_means(*each, np.arange(len(labels))) for each in zip(seeds, rights, strict=True)]
            found = of_difference(*sample, paired=True)
            value, error, freedom = found.value, found.standard_error, found.freedom
            of_seeds = found.seed_freedom
        freedom = min(freedom, max(2.5 * of_seeds, 1.0))  # the level is small, and few seeds know little
        p[one, other] = 2 * stats.t.sf(abs(value) / error, freedom)
    left, largest = set(cells), 0.0
    while len(left) > 1:
        pairs = {pair: each for pair, each in p.items() if set(pair) <= left}
        pair = min(pairs, key=pairs.__getitem__)
        worse = min(pair, key=lambda place: cells[place].mean)
        largest = max(largest, min(1.0, pairs[pair] * len(pairs)))
        assert cells[worse].p == pytest.approx(largest, abs=1e-9)
        assert cells[worse].tie == (largest > ALPHA)
        left.remove(worse)
    assert cells[left.pop()].best
