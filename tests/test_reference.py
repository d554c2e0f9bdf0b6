"""Table 1 of random registries against scipy and scikit-learn: means, intervals, F1, p and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from ledger import ENVIRONMENT, PARAMETERS, make_card, make_recipe, start
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from kws.events import Evaluation
from kws.registry.store import Registry
from kws.reports.metrics import metric
from kws.reports.table1 import ALPHA, tables

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


def reference_p(one: dict[int, np.ndarray], other: dict[int, np.ndarray], labels: np.ndarray) -> float:
    """The larger p of scipy's paired t tests over seeds and over clips."""
    seeds = sorted(one.keys() & other.keys())
    sides = [np.array([each[seed] == labels for seed in seeds], float) for each in (one, other)]
    over_seeds = stats.ttest_rel(sides[0].mean(axis=1), sides[1].mean(axis=1)).pvalue
    over_clips = stats.ttest_rel(sides[0].mean(axis=0), sides[1].mean(axis=0)).pvalue
    return float(max(over_seeds, over_clips))


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
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (cell.low, cell.high) == (pytest.approx(low), pytest.approx(high))
        macro = [f1_score(labels, given[number], average="macro") for number in cell.seeds]
        assert f1.mean == pytest.approx(np.mean(macro))
    (best,) = [cell for cell in table.cells if cell.best]
    assert best.mean == max(cell.mean for cell in table.cells)
    others = [cell for cell in table.cells if not cell.best]
    ps = [reference_p(answers[best.arch, best.opt], answers[c.arch, c.opt], labels) for c in others]
    largest = 0.0
    for rank, place in enumerate(np.argsort(ps)):  # Holm, step by step
        largest = max(largest, min(1.0, ps[place] * (len(ps) - rank)))
        assert others[place].p == pytest.approx(largest)
        assert others[place].tie == (largest > ALPHA)
