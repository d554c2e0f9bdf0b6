"""A sweep's plan: every combination once, in an order, and what no combination can be."""

import pytest
from commands import ok_json, refused
from hypothesis import given
from hypothesis import strategies as st

from kws.errors import RecipeError
from kws.recipe import Recipe
from kws.sweeps import plan

AXES = {
    "data": ["clips"],
    "words": [("yes", "no")],
    "device": ["cpu"],
    "threads": [1],
    "arch": ["fc", "cnn"],
    "maps": [None],
    "precision": ["fp32"],
    "selection": ["final"],
    "softmax": [False],
    "epochs": [50],
    "batch_size": [1024],
    "learning_rate": [None],
    "momentum": [None],
    "weight_decay": [None],
    "opt": ["sgd", "adam"],
    "seed": [0, 1, 2, 3, 4],
}


def test_the_reports_table_is_its_cells_at_five_seeds_seeds_first():
    made = plan.expand(AXES)
    assert [(recipe.arch, recipe.opt, recipe.seed) for recipe in made] == [
        (arch, opt, seed) for arch in ("fc", "cnn") for opt in ("sgd", "adam") for seed in range(5)
    ]
    assert plan.expand(AXES)[0] == Recipe.of(
        arch="fc", opt="sgd", learning_rate=0.01, momentum=0.9, weight_decay=1e-5, data="clips"
    )


def test_what_only_some_have_counts_for_those_and_makes_no_run_twice():
    made = plan.expand({**AXES, "momentum": [0.8, 0.9], "maps": [(2, 1), (4, 2)], "seed": [0]})
    of = [(recipe.arch, recipe.opt, recipe.momentum, recipe.channels) for recipe in made]
    assert len(set(made)) == len(made) == 9
    assert [each for each in of if each[0] == "fc"] == [
        ("fc", "sgd", 0.8, None), ("fc", "adam", None, None), ("fc", "sgd", 0.9, None)
    ]  # fmt: skip
    assert len([each for each in of if each[0] == "cnn" and each[1] == "adam"]) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"opt": ["adam"], "momentum": [0.9]}, "`momentum` (=0.9) is not for adam"),
        ({"arch": ["fc"], "maps": [(2, 1)]}, "`channels` (=2,1) is not for fc"),
        ({"learning_rate": [-1.0]}, "`learning_rate` (=-1.0) must be a number above 0"),
        ({"seed": range(plan.MOST)}, "the plan has 400,000 combinations; 100,000 at most"),
    ],
)
def test_a_plan_that_cannot_be_is_told(changes, named):
    with pytest.raises(RecipeError) as error:
        plan.expand({**AXES, **changes})
    assert named in str(error.value)


def test_seeds_are_a_number_of_them_or_those_named():
    assert plan.seeds("5") == [0, 1, 2, 3, 4]
    assert plan.seeds("3, 7") == [3, 7]
    for wrong in ("0", "a", "1,1", "", "3,", "100001"):
        with pytest.raises(RecipeError, match="`seeds`"):
            plan.seeds(wrong)


def test_a_switch_is_no_yes_or_both():
    assert plan.several("softmax_before_loss", "no,yes") == [False, True]
    with pytest.raises(RecipeError, match="`softmax_before_loss`"):
        plan.several("softmax_before_loss", "maybe")


@given(st.lists(st.integers(min_value=1, max_value=99), min_size=1, max_size=5, unique=True))
def test_values_are_those_between_the_commas(numbers):
    assert plan.values("epochs", ",".join(map(str, numbers)), int) == numbers


def test_a_dry_run_shows_the_plan_and_leaves_nothing(tmp_path):
    made = ok_json("sweep", "--preset", "table1", "--dry-run")
    assert made["dry_run"]
    assert len(made["runs"]) == 20
    assert {run["status"] for run in made["runs"]} == {"new"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--arch", "cnn"), "sweep needs --opt: sgd, adam"),
        (("--arch", "cnn,rnn", "--opt", "adam"), "`arch` (='cnn,rnn') must be one or several of fc, cnn"),
        (("--preset", "table1", "--jobs", "0"), "`jobs` (=0) must be at least 1"),
        (("--preset", "table1", "--epochs", "1,x"), "`epochs` (='1,x') must be numbers"),
        (("--preset", "table1", "--threads", "0"), "`threads` (=0) must be at least 1"),
    ],
)
def test_a_wrong_option_is_one_sentence(options, named):
    assert named in refused("sweep", *options)
