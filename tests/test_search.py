"""A search: what its trials draw, what it learns from them, and that the registry is all that it needs to go on."""

from dataclasses import replace

import pytest
from ledger import make_run

from kws.errors import RecipeError
from kws.recipe import BEST
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED

optuna = pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')

from kws.session import PRUNED  # noqa: E402
from kws.sweeps import search as searches  # noqa: E402
from kws.sweeps.search import Search, Space  # noqa: E402

FIXED = {
    "arch": "fc", "epochs": 10, "seed": 0, "maps": None, "words": ("yes", "no"), "data": "clips", "threads": 1,
    "selection": "final", "precision": "fp32", "device": "cpu",
}  # fmt: skip


@pytest.fixture
def space():
    ranges = {"learning_rate": "1e-4:1e-1", "weight_decay": "1e-6:1e-2", "momentum": "0.8:0.99"}
    searched = {name: searches.values(name, text, float) for name, text in ranges.items()}
    searched |= {"batch_size": searches.values("batch_size", "64,256", int)}
    return Space(
        searched={"opt": optuna.distributions.CategoricalDistribution(["sgd", "adam"]), **searched}, fixed=FIXED
    )


def begun(space, **more):
    return Search(space, **{"random": False, "prune": True, "seed": 0, "epochs": 10, "jobs": 1, **more})


def ended(recipe, status=FINISHED, **more):
    return replace(make_run(status=status), recipe=recipe, **more)


def curve(recipe):
    """What a recipe reaches: most near a learning rate of 0.01."""
    import math

    return [0.9 - 0.1 * abs(math.log10(recipe.learning_rate / 0.01)) - 0.01 / epoch for epoch in range(1, 11)]


def test_ranges_and_values_are_told_apart_and_what_spans_powers_of_ten_is_drawn_so():
    rate = searches.values("learning_rate", "1e-4:1e-1", float)
    assert (rate.low, rate.high, rate.log) == (1e-4, 1e-1, True)
    assert not searches.values("momentum", "0.8:0.9", float).log
    assert not searches.values("weight_decay", "0:0.9", float).log
    assert searches.values("batch_size", "64,256", int).choices == (64, 256)
    assert searches.values("batch_size", "16:256", int).log
    for wrong in ("a", "1:", "2:1", "1:2:3", "", "64,x"):
        with pytest.raises(RecipeError, match="must be a range"):
            searches.values("batch_size", wrong, int)


def test_a_trial_has_what_its_optimizer_has_and_lies_in_the_ranges(space):
    search = begun(space, random=True)
    opts = set()
    for _ in range(30):
        _, recipe = search.begin()
        opts.add(recipe.opt)
        assert (recipe.momentum is None) == (recipe.opt == "adam")
        assert 1e-4 <= recipe.learning_rate <= 1e-1
        assert 1e-6 <= recipe.weight_decay <= 1e-2
        assert recipe.batch_size in (64, 256)
        assert recipe.momentum is None or 0.8 <= recipe.momentum <= 0.99
        assert (recipe.arch, recipe.epochs, recipe.seed) == ("fc", 10, 0)
    assert opts == {"sgd", "adam"}


def trials(search, count):
    made = []
    for _ in range(count):
        trial, recipe = search.begin()
        search.end(trial, ended(recipe), curve(recipe))
        made.append(recipe)
    return made


def test_it_goes_on_from_the_registry_as_if_it_had_never_stopped(space):
    unbroken = trials(begun(space), 14)
    again = begun(space)
    for recipe in unbroken[:9]:
        again.add(ended(recipe), curve(recipe))
    assert trials(again, 5) == unbroken[9:]


def test_it_learns_where_to_look(space):
    made = trials(begun(space), 40)
    far = [abs(curve(recipe)[-1] - 0.9) for recipe in made]
    assert sum(far[-15:]) < sum(far[:15])


def test_a_trial_that_falls_behind_is_given_up_after_the_first_ones(space):
    search = begun(space)
    for _ in range(searches.FIRST_TRIALS):
        trial, recipe = search.begin()
        assert not any(search.gives_up(trial, epoch, 0.8) for epoch in range(1, 11))
        search.end(trial, ended(recipe), [0.8] * 10)
    trial, _ = search.begin()
    assert [search.gives_up(trial, epoch, 0.1) for epoch in range(1, 4)] == [False, False, True]
    trial, _ = search.begin()
    assert not any(search.gives_up(trial, epoch, 0.9) for epoch in range(1, 11))
    stubborn = begun(space, prune=False)
    for run in [ended(recipe) for recipe in trials(begun(space), searches.FIRST_TRIALS)]:
        stubborn.add(run, [0.8] * 10)
    trial, _ = stubborn.begin()
    assert not any(stubborn.gives_up(trial, epoch, 0.1) for epoch in range(1, 11))


def test_one_that_diverged_or_was_given_up_is_known_as_such(space):
    search = begun(space)
    recipes = trials(begun(space), 3)
    search.add(ended(recipes[0]), [0.7] * 10)
    search.add(ended(recipes[1], FAILED), [])
    search.add(ended(recipes[2], INTERRUPTED, error=f"stopped after epoch 2: {PRUNED}"), [0.1, 0.2])
    assert [trial.state.name for trial in search.trials] == ["COMPLETE", "PRUNED", "PRUNED"]
    assert search.trials[2].intermediate_values == {1: 0.1, 2: 0.2}
    assert searches.has_ended(ended(recipes[1], FAILED))
    assert not searches.has_ended(ended(recipes[1], INTERRUPTED))


def test_what_counts_is_the_epoch_that_the_recipe_selects(space):
    (recipe,) = trials(begun(space), 1)
    assert searches.score(recipe, [0.1, 0.9, 0.5]) == 0.5
    assert searches.score(replace(recipe, selection=BEST), [0.1, 0.9, 0.5]) == 0.9


def test_a_tag_stands_for_all_that_makes_a_search_but_where_the_data_lies(space):
    tag = space.tag(None, "f", 0)
    assert tag == replace(space, fixed={**FIXED, "data": "elsewhere"}).tag(None, "f", 0)
    assert len({tag, space.tag(None, "g", 0), space.tag(None, "f", 1)}) == 3
    assert tag != replace(space, fixed={**FIXED, "epochs": 11}).tag(None, "f", 0)
    assert space.tag("mine", "f", 0) == "tune-mine"
