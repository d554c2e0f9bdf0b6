"""The report beside our runs: its figures, its claims judged by their intervals, and what is not comparable."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from commands import kws, ok
from ledger import ENVIRONMENT, PARAMETERS, WEIGHTS, make_card, make_epochs, make_recipe, start

from kws.events import Evaluation
from kws.registry.store import Registry
from kws.reports import formats
from kws.reports.comparison import beside
from kws.reports.power import Plan
from kws.reports.publications import the_report
from kws.reports.reference import DOES_NOT, HOLDS, INCONCLUSIVE, SMALLER, Evidence
from kws.reports.scope import is_of_the_report
from kws.reports.table1 import tables

CARD = make_card(clips=600)
LABELS = CARD.labels["test"]
REPORTED = {
    ("fc", "sgd", False): 0.8527,
    ("fc", "adam", False): 0.8796,
    ("cnn", "sgd", False): 0.8959,
    ("cnn", "adam", False): 0.9178,
    ("fc", "sgd", True): 0.778,
}


def answered(registry: Registry, wrong: int, *, slow: int = 0, seed: int = 0, spread: int = 0, **recipe) -> str:
    """A run with so many wrong answers, at places of its seed's own; it takes `slow` more epochs to learn."""
    made = make_recipe(**recipe, seed=seed)
    run_id = start(registry, made, CARD, parameters=PARAMETERS[made.arch], environment=ENVIRONMENT)
    for epoch in make_epochs(made.epochs, iterations=1):
        accuracy = min(0.94, 0.3 + 0.05 * max(0, epoch.epoch - slow))
        registry.record(run_id, replace(epoch, validation_accuracy=accuracy))
    places = np.random.default_rng([wrong, seed]).permutation(len(LABELS))[: wrong + spread * (seed % 2)]
    answers = bytes((label + (i in set(places.tolist()))) % 3 for i, label in enumerate(LABELS))
    right = sum(a == b for a, b in zip(answers, LABELS, strict=True)) / len(LABELS)
    evaluation = Evaluation(split="test", loss=0.3, objective=0.3, accuracy=right, predictions=answers, labels=LABELS)
    registry.finish(run_id, evaluation, CARD, WEIGHTS)
    return run_id


def table1(path, wrong: dict[tuple, int], *, seeds: int = 3, slow: int = 0, spread: int = 0):
    """The report beside a registry in which each cell has so many wrong answers; SGD is so much slower."""
    with Registry(path, create=True) as registry:
        for (arch, opt, softmax), count in wrong.items():
            for seed in range(seeds):
                late = slow if opt == "sgd" else 0
                of = {"arch": arch, "opt": opt, "softmax": softmax}
                answered(registry, count, slow=late, seed=seed, spread=spread, **of)
        (table,) = tables(registry, registry.runs())
        return replace(table, paper=beside(registry, table))


WRONG = {
    ("fc", "sgd", False): 100,
    ("fc", "adam", False): 60,
    ("cnn", "sgd", False): 50,
    ("cnn", "adam", False): 10,
    ("fc", "sgd", True): 170,
    ("fc", "adam", True): 130,
}


@pytest.fixture(scope="module")
def clear(tmp_path_factory):
    """Runs that bear every claim out."""
    return table1(tmp_path_factory.mktemp("paper") / "runs.db", WRONG, slow=5)


def test_its_figures_stand_beside_ours_with_their_differences(clear):
    assert [(f.arch, f.opt, f.softmax) for f in clear.paper.figures] == list(REPORTED)
    for figure in clear.paper.figures:
        wrong = WRONG[figure.arch, figure.opt, figure.softmax]
        assert figure.mean == pytest.approx(1 - wrong / 600)
        assert figure.difference == pytest.approx(figure.mean - REPORTED[figure.arch, figure.opt, figure.softmax])
        assert figure.n == 3
    first, *_, softmax = clear.paper.figures
    assert first.reported_text == "85.27 %" and first.difference_text.startswith("-1.94 (")
    assert first.difference_low < first.difference < first.difference_high
    assert (softmax.reported_text, softmax.here_text) == ("about 77.8 %", "71.67 % (n = 3)")
    assert re.fullmatch(r"-6\.1 \(-\d+\.\d to [-+]\d+\.\d\)", softmax.difference_text)  # "about" has one decimal


def test_what_every_interval_bears_out_holds(clear):
    assert [claim.verdict for claim in clear.paper.claims] == [HOLDS] * 4
    adam, faster, network, softmax = (claim.evidence for claim in clear.paper.claims)
    assert [e.mean for e in adam] == [pytest.approx(100 * 40 / 600)] * 2
    assert [e.mean for e in faster] == [5.0, 5.0]
    assert "to 94 % validation accuracy in 13.0 epochs against 18.0" in faster[0].about
    assert faster[0].why == "the interval lies 5.0 or more above 0"
    assert [claim.why for claim in clear.paper.claims[:2]] == ["both parts hold"] * 2
    assert clear.paper.claims[2].why == "both parts hold; 346,067 parameters rather than 567,171"
    (goal,) = clear.paper.goals
    assert "claim 2 counts epochs to 94 % validation accuracy: it is the highest whole percent" in goal
    assert [e.mean for e in network] == [pytest.approx(100 * 50 / 600)] * 2
    assert [e.mean for e in softmax] == [pytest.approx(100 * 70 / 600)] * 2
    assert all(e.low <= e.mean <= e.high and e.n == 3 for e in (*adam, *network, *softmax))


def test_turned_round_no_claim_holds(tmp_path):
    swapped = {key: 180 - wrong for key, wrong in WRONG.items()}
    paper = table1(tmp_path / "runs.db", swapped, slow=-5).paper
    assert [claim.verdict for claim in paper.claims] == [DOES_NOT] * 4
    part = paper.claims[0].evidence[1]
    assert part.why == f"the interval ends {2 - part.high:.2f} below 2: it is the other way round"
    assert paper.claims[0].why == "both parts do not hold"


def test_with_one_seed_nothing_can_be_told(tmp_path):
    paper = table1(tmp_path / "runs.db", WRONG, seeds=1, slow=5).paper
    assert [claim.verdict for claim in paper.claims] == [INCONCLUSIVE] * 4
    assert "n = 1" in paper.claims[0].evidence[0].measured
    assert " to " not in paper.claims[0].evidence[0].measured
    single = (
        "one seed of Fully-connected, Adam and one of Fully-connected, SGD does not say how much another would differ"
    )
    assert paper.claims[0].evidence[0].why == single
    for figure in paper.figures:
        assert figure.low < figure.mean < figure.high
        assert (figure.difference_low, figure.difference_high) == (None, None)
        assert "to" not in figure.difference_text


def test_what_clips_and_seeds_spread_over_cannot_be_told(tmp_path):
    close = {key: 80 - place for place, key in enumerate(WRONG)}
    paper = table1(tmp_path / "runs.db", close, spread=40).paper
    assert [claim.verdict for claim in paper.claims[2:]] == [INCONCLUSIVE] * 2
    assert all(e.low < 0 < e.high for claim in paper.claims[2:] for e in claim.evidence)
    for part in (each for claim in paper.claims[2:] for each in claim.evidence):
        assert (
            f"the interval reaches {min(-part.low, part.high):.2f} {'below' if part.mean > 0 else 'above'} 0; "
            in part.why
        )
        ways = ("seeds of each would settle it", "no number of seeds would settle it", "too near to 0")
        assert sum(way in part.why for way in ways) == 1
        assert (part.seeds_to_tell is None) == (ways[0] not in part.why)


def test_where_a_cell_was_not_run_its_claims_cannot_be_told(tmp_path):
    only = {key: WRONG[key] for key in (("fc", "sgd", False), ("fc", "adam", False))}
    paper = table1(tmp_path / "runs.db", only, slow=5).paper
    assert [claim.verdict for claim in paper.claims] == [INCONCLUSIVE] * 4
    part = paper.claims[3].evidence[0]
    assert (part.about, part.measured) == ("Fully-connected, SGD", "no runs to compare")
    assert part.why == "no finished run of Fully-connected, SGD, softmax before cross-entropy"
    assert "nothing here is Convolutional, SGD; nor Convolutional, Adam; nor Fully-connected, SGD" in paper.remarks[-1]
    assert [f.here_text for f in paper.figures].count("-") == 3


@pytest.mark.parametrize(
    ("wanted", "reported", "low", "high", "n", "verdict"),
    [
        (2, None, 2.1, 3, 3, HOLDS),
        (2, None, 0.1, 1.9, 3, SMALLER),
        (2, None, -1, 1.9, 3, DOES_NOT),
        (2, None, 1, 3, 3, INCONCLUSIVE),
        (2, None, -1, 3, 3, INCONCLUSIVE),
        (2, None, 2.1, 3, 1, INCONCLUSIVE),
        (0, None, -2, -1, 5, DOES_NOT),
        (0, None, -1, 1, 5, INCONCLUSIVE),
        (0, None, 0.1, 9, 5, HOLDS),
        (0, 7.5, 1, 5, 5, SMALLER),
        (0, 7.5, 1, 9, 5, HOLDS),
        (0, 7.5, -1, 5, 5, INCONCLUSIVE),
    ],
)
def test_a_part_of_a_claim_is_judged_by_its_interval(wanted, reported, low, high, n, verdict):
    part = Evidence(about="", unit="points", wanted=wanted, reported=reported, n=n, mean=2.0, low=low, high=high)
    assert part.verdict == verdict


def part(**about) -> Evidence:
    return Evidence(
        **{
            "about": "fc",
            "unit": "points",
            "wanted": 2.0,
            "n": 5,
            "seeds": (5, 9),
            "sides": ("a", "b"),
            "error_of_clips": 0.4,
        }
        | about
    )


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"mean": 4, "low": 2.31, "high": 5.6}, "the interval lies 0.31 or more above 2"),
        ({"mean": 0.7, "low": -0.4, "high": 1.73}, "the interval ends 0.27 below 2"),
        ({"mean": -4, "low": -5, "high": -3}, "the interval ends 5.00 below 2: it is the other way round"),
        ({"mean": 1, "low": 0.25, "high": 1.9}, "the interval lies 0.25 or more above 0, but ends 0.10 below 2"),
        (
            {"mean": 3, "low": 1, "high": 5, "wanted": 0.0, "reported": 7.5},
            "the interval lies 1.00 or more above 0, but ends 2.50 below the reported 7.50",
        ),
        (
            {"mean": 2.7, "low": 1.31, "high": 4.1, "plan": Plan(more_seeds=(4, 0))},
            "the interval reaches 0.69 below 2; about 4 more seeds of a would settle it",
        ),
        (
            {"mean": 1.7, "low": 0.3, "high": 3.1, "plan": Plan(more_seeds=(1234, 1230))},
            "the interval reaches 1.10 above 2; about 1,300 more seeds of a and 1,300 more seeds of b would settle it",
        ),
        (
            {"mean": 2.7, "low": 1.5, "high": 3.9, "plan": Plan(speakers=4.93), "over": "clips"},
            "the interval reaches 0.50 below 2; no number of seeds would settle it, as these test clips alone leave an "
            "error of 0.40; about 5 times as many test clips would",
        ),
        (
            {"mean": 2.7, "low": 1.5, "high": 3.9, "plan": Plan(more_seeds=(3, 3), speakers=2.01)},
            "the interval reaches 0.50 below 2; no number of seeds would settle it, as these test clips alone leave an "
            "error of 0.40; about 2.1 times as many test speakers and 3 more seeds of each would",
        ),
        (
            {"mean": 2.001, "low": 1, "high": 3.002},
            "the interval reaches 1.00 below 2; 2.00 is too near to 2 for any number of seeds to settle it",
        ),
    ],
)  # fmt: skip
def test_each_verdict_says_why_and_what_would_settle_it(told, why):
    assert part(**told).why == why


def test_a_claim_is_as_good_as_the_worst_of_its_parts_and_each_part_is_shown(tmp_path):
    mixed = WRONG | {("fc", "adam", True): 61}  # with Adam, a softmax costs hardly anything
    table = table1(tmp_path / "runs.db", mixed, slow=5)
    sgd, adam = table.paper.claims[3].evidence
    assert (sgd.verdict, adam.verdict, table.paper.claims[3].verdict) == (HOLDS, INCONCLUSIVE, INCONCLUSIVE)
    written = formats.markdown([table])
    assert f"|  | Fully-connected, SGD | {sgd.measured} | holds | {sgd.why} |" in written
    assert f"|  | Fully-connected, Adam | {adam.measured} | inconclusive | {adam.why} |" in written
    assert "| inconclusive | Fully-connected, Adam is inconclusive; Fully-connected, SGD holds |" in written


def test_more_seeds_shrink_what_can_be_found_and_clips_alone_leave_an_error(tmp_path):
    few, many = (table1(tmp_path / f"{n}.db", WRONG, seeds=n, spread=30).paper for n in (2, 5))
    for before, after in zip(few.claims[2].evidence, many.claims[2].evidence, strict=True):
        assert after.detectable < before.detectable
        assert after.detectable > 2 * after.error_of_clips >= 0


@pytest.mark.parametrize("other", [{"epochs": 5}, {"batch_size": 64}, {"maps": (8, 4)}, {"learning_rate": 0.5}])
def test_runs_of_other_recipes_are_not_set_beside_it(tmp_path, other):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        answered(registry, 10, **other)
        (table,) = tables(registry, registry.runs())
        assert beside(registry, table) is None


def test_misprints_are_told(clear):
    remarks = " ".join(clear.paper.remarks)
    assert "1.65" in remarks and "1.6389" in remarks
    assert "16,152" in remarks and f"{128 * 129:,}" in remarks
    ratio = PARAMETERS["fc"] / PARAMETERS["cnn"]
    assert f"{PARAMETERS['fc']:,} / {PARAMETERS['cnn']:,} is {ratio:.4f}" in remarks


def test_the_reports_file_is_what_the_report_prints():
    found = {
        (each.recipe.arch, each.recipe.opt, each.recipe.softmax_before_loss): each for each in the_report().figures
    }
    assert {key: each.value for key, each in found.items()} == pytest.approx(REPORTED)
    assert {(each.seeds, each.test_clips) for each in found.values()} == {(1, 1229)}
    assert len(the_report().claims) == 4


def test_every_format_has_the_report(clear):
    for name in ("markdown", "latex"):
        written = formats.FORMATS[name]([clear])
        assert "88.33" not in written and "71.67" in written
        assert "holds" in written
    lines = formats.comma_separated([clear]).splitlines()
    assert lines[0].endswith(",commits,reported")
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["0.8527", "0.8796", "0.778", "", "0.8959", "0.9178"]
    paper = json.loads(formats.as_json([clear]))["tables"][0]["paper"]
    assert [claim["verdict"] for claim in paper["claims"]] == [HOLDS] * 4
    assert paper["figures"][0]["reported"] == 0.8527


def test_the_command_says_where_nothing_is_the_reports(tmp_path):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        answered(registry, 10, maps=(8, 4))
    result = kws("compare", "--paper")
    assert result.exit_code == 0
    assert "no table here is about the report's networks" in result.stderr


def test_the_runs_of_every_cell_are_listed_with_their_commits(tmp_path):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        runs = [answered(registry, 10 + seed, seed=seed) for seed in (1, 0)]
    for written in ("table", "markdown", "latex"):
        shown = ok("compare", "--runs", "--format", written)
        lines = [line for line in shown.splitlines() if any(run in line for run in runs)]
        assert [run in line for run, line in zip(reversed(runs), lines, strict=True)] == [True, True]
        assert all(ENVIRONMENT.git_commit[:12] in line for line in lines)


def test_table_1_is_about_the_networks_and_optimizers_of_the_reports_file():
    recipes = [figure.recipe for figure in the_report().figures]
    assert all(map(is_of_the_report, recipes))
    for arch, opt in {(recipe.arch, recipe.opt) for recipe in recipes}:
        assert not is_of_the_report(make_recipe("gru", opt)) and not is_of_the_report(make_recipe(arch, "muon"))
