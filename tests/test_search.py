"""A search: what its trials draw, what it learns from them, and that the registry is all that it needs to go on."""

import random
from dataclasses import replace

import pytest
from ledger import make_epochs, make_recipe, make_run

from kws.errors import RecipeError
from kws.recipe import BEST
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING

optuna = pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')

from kws.sweeps import search as searches  # noqa: E402
from kws.sweeps.search import Search, Space  # noqa: E402
from kws.sweeps.trainer import _not_below  # noqa: E402
from kws.training.runner import PRUNED, PRUNED_BEFORE  # noqa: E402

FIXED = {
    "arch": "fc", "epochs": 10, "seed": 0, "maps": None, "words": ("yes", "no"), "data": "clips", "threads": 1,
    "selection": "final", "precision": "fp32", "device": "cpu",
}  # fmt: skip


@pytest.fixture
def space():
    ranges = {"learning_rate": "1e-4:1e-1", "weight_decay": "1e-6:1e-2", "momentum": "0.8:0.99"}
    searched = {name: searches.values(name, text) for name, text in ranges.items()}
    searched |= {"batch_size": searches.values("batch_size", "64,256")}
    return Space(
        searched={"opt": optuna.distributions.CategoricalDistribution(["sgd", "adam"]), **searched}, fixed=FIXED
    )


def begun(space, **more):
    return Search(space, **{"random": False, "prune": True, "seed": 0, "epochs": 10, **more})


def ended(recipe, status=FINISHED, **more):
    return replace(make_run(status=status), recipe=recipe, **more)


def curve(recipe):
    """What a recipe reaches: most near a learning rate of 0.01."""
    import math

    return [0.9 - 0.1 * abs(math.log10(recipe.learning_rate / 0.01)) - 0.01 / epoch for epoch in range(1, 11)]


def test_ranges_and_values_are_told_apart_and_what_spans_powers_of_ten_is_drawn_so():
    rate = searches.values("learning_rate", "1e-4:1e-1")
    assert (rate.low, rate.high, rate.log) == (1e-4, 1e-1, True)
    assert not searches.values("momentum", "0.8:0.9").log
    assert not searches.values("weight_decay", "0:0.9").log
    assert searches.values("batch_size", "64,256").choices == (64, 256)
    assert searches.values("batch_size", "16:256").log
    for wrong in ("a", "1:", "2:1", "1:2:3", "", "64,x"):
        with pytest.raises(RecipeError, match="must be a range"):
            searches.values("batch_size", wrong)


@pytest.mark.filterwarnings("error")
def test_an_option_of_several_numbers_is_one_value_without_a_warning():
    channels = searches.values("channels", "2,1")
    assert channels.single()
    assert searches.only_value(channels) == (2, 1)


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


def test_a_trial_that_falls_behind_is_pruned_after_the_first_ones(space):
    search = begun(space)
    for _ in range(searches.FIRST_TRIALS):
        assert search.medians() == []
        trial, recipe = search.begin()
        search.end(trial, ended(recipe), [0.8] * 10)
    assert search.medians() == [None, None, *[0.8] * 8]
    stubborn = begun(space, prune=False)
    for run in [ended(recipe) for recipe in trials(begun(space), searches.FIRST_TRIALS)]:
        stubborn.add(run, [0.8] * 10)
    assert stubborn.medians() == []


def test_trials_are_pruned_where_optunas_median_pruner_prunes_them(space):
    draw = random.Random(0)
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=searches.FIRST_TRIALS, n_warmup_steps=3),
    )
    search, pruned = begun(space), []
    for number in range(40):
        accuracies = [draw.random() for _ in range(10)]
        ours, theirs = search.begin(), study.ask()
        keeps_going = _not_below(search.medians(), [])
        for epoch, accuracy in enumerate(accuracies[:-1], 1):
            theirs.report(accuracy, epoch)
            goes_on = keeps_going(replace(make_epochs(1, first=epoch)[0], validation_accuracy=accuracy))
            assert goes_on is not theirs.should_prune()
            if not goes_on:
                pruned.append(number)
                given_up = f"stopped after epoch {epoch}: {PRUNED}"
                search.end(ours[0], ended(ours[1], INTERRUPTED, error=given_up), accuracies[:epoch])
                study.tell(theirs, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            theirs.report(accuracies[-1], 10)
            search.end(ours[0], ended(ours[1]), accuracies)
            study.tell(theirs, accuracies[-1])
    assert 5 < len(pruned) < 35 and min(pruned) >= searches.FIRST_TRIALS


def test_a_resumed_trial_counts_the_epochs_before():
    medians, epoch = [None, 0.5, 0.5], replace(make_epochs(1, first=3)[0], validation_accuracy=0.4)
    assert _not_below(medians, [0.1, 0.6])(epoch)
    assert not _not_below(medians, [0.1, 0.2])(epoch)


def test_a_draw_that_did_not_become_a_trial_leaves_no_trace(space):
    search, other = begun(space), begun(space)
    for recipe in trials(other, 7):
        search.add(ended(recipe), curve(recipe))
    trial, first = search.begin()
    search.drop(trial, first)
    assert len(search.trials) == 7
    assert search.begin()[1] == first == other.begin()[1]


DIVERGED = "the training loss became nan in iteration 3 (epoch 1); try a --learning-rate below 10"


def test_each_trial_is_known_as_what_became_of_it(space):
    search = begun(space)
    recipes = trials(begun(space), 6)
    search.add(ended(recipes[0]), [0.7] * 10)
    search.add(ended(recipes[1], FAILED, error=DIVERGED), [])
    search.add(ended(recipes[2], INTERRUPTED, error=f"stopped after epoch 2: {PRUNED}"), [0.1, 0.2])
    search.add(ended(recipes[3], FAILED, error="the disk is full"), [0.8])
    search.add(ended(recipes[4], FAILED, error=f"stopped after epoch 2: {PRUNED}"), [0.8])
    search.add(ended(recipes[5], INTERRUPTED, error="somebody wrote: it did not promise to be better"), [0.9])
    told = [(trial.state.name, trial.value) for trial in search.trials]
    assert told == [("COMPLETE", 0.7), ("COMPLETE", 0.0), ("PRUNED", None), *[("FAIL", None)] * 3]
    assert search.trials[2].intermediate_values == {1: 0.1, 2: 0.2}
    assert searches.has_ended(ended(recipes[1], FAILED))
    assert not searches.has_ended(ended(recipes[1], INTERRUPTED))


@pytest.mark.parametrize("status", [FINISHED, FAILED, INTERRUPTED, RUNNING, LOST])
def test_only_what_was_given_up_is_told_as_given_up(space, status):
    search = begun(space)
    trial, recipe = search.begin()
    search.end(trial, ended(recipe, status, error="for another reason"), [0.9])
    assert search.trials[0].state.name == ("COMPLETE" if status == FINISHED else "FAIL")
    trial, recipe = search.begin()
    search.end(trial, ended(recipe, INTERRUPTED, error=f"stopped after epoch 1: {PRUNED_BEFORE}"), [])
    assert search.trials[1].state.name == "PRUNED"


@pytest.mark.parametrize("rate", [1e4, 1e30])
def test_a_run_that_diverges_is_told_by_the_whole_sentence_that_it_ends_with(rate):
    """So that a change of that sentence is not forgotten here."""
    import torch

    from kws.errors import DivergedError
    from kws.speech.dataset import Split
    from kws.training import loop

    split = Split(torch.randn(16, 101, 40, generator=torch.Generator().manual_seed(0)) * 1e3, torch.arange(16) % 3)
    recipe = make_recipe("cnn", "sgd", learning_rate=rate, maps=(2, 1), batch_size=8, epochs=50)
    with pytest.raises(DivergedError) as diverged:
        list(loop.fit(loop.Training.begin(recipe, 3), split, split, recipe))
    assert searches.has_diverged(ended(recipe, FAILED, error=str(diverged.value)))
    assert searches.has_diverged(
        ended(recipe, FAILED, error="the validation loss became inf in epoch 7; try a --learning-rate below 0.1")
    )
    assert not searches.has_diverged(ended(recipe, INTERRUPTED, error=str(diverged.value)))
    assert not searches.has_diverged(ended(recipe, FAILED, error="so it diverged"))


def few(**ranges):
    """A space over lists of values."""
    searched = {name: searches.values(name, text) for name, text in ranges.items()}
    return Space(searched=searched, fixed={"opt": "adam", "weight_decay": 0.0, "batch_size": 64, **FIXED})


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize(
    ("ranges", "count"),
    [
        ({"learning_rate": "0.001,0.01,0.1,1"}, 4),
        ({"batch_size": "16:19"}, 4),
        ({"batch_size": "16:18", "learning_rate": "0.1,0.2,0.3"}, 9),
        ({}, 1),
    ],
)
def test_few_recipes_are_all_tried_and_none_twice(ranges, count, random):
    search = begun(few(**ranges), random=random)
    made = trials(search, count)
    assert len(set(made)) == count
    assert search.begin() is None
    assert len(few(**ranges).listed()) == count


def test_what_an_optimizer_does_not_have_makes_no_other_recipe():
    searched = {"opt": optuna.distributions.CategoricalDistribution(["sgd", "adam"])}
    searched |= {"momentum": searches.values("momentum", "0.8,0.9")}
    space = Space(searched=searched, fixed={"learning_rate": 0.1, "weight_decay": 0.0, "batch_size": 64, **FIXED})
    search = begun(space)
    assert {(recipe.opt, recipe.momentum) for recipe in trials(search, 3)} == {
        ("sgd", 0.8), ("sgd", 0.9), ("adam", None)
    }  # fmt: skip
    assert search.begin() is None


def test_draws_that_repeat_do_not_change_what_is_tried_when_the_search_goes_on():
    space = few(batch_size="16:23", learning_rate="0.1,0.2")
    unbroken = trials(begun(space), 16)
    assert len(set(unbroken)) == 16
    for known in (1, 6, 11):
        again = begun(space)
        for recipe in unbroken[:known]:
            again.add(ended(recipe), curve(recipe))
        assert trials(again, 16 - known) == unbroken[known:]


def test_a_space_without_end_is_not_listed(space):
    assert space.listed() is None
    assert few(batch_size="1:1000000").listed() is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("learning_rate", "nan:1"), ("learning_rate", "0.001:inf"), ("learning_rate", "-1:0.1"),
        ("learning_rate", "0:0.1"), ("learning_rate", "0.1:0.001"), ("learning_rate", "nan"),
        ("learning_rate", "0.1,-0.1"), ("learning_rate", "1e-400:1"), ("learning_rate", "1:1e400"),
        ("learning_rate", ":"), ("learning_rate", "a:b"), ("learning_rate", "0.1;0.2"), ("learning_rate", "0.1,"),
        ("weight_decay", "-1:0.1"), ("weight_decay", "0:inf"), ("weight_decay", "nan,0"), ("weight_decay", "0,0.0"),
        ("momentum", "0.8:1"), ("momentum", "-0.1:0.5"), ("momentum", "nan:0.9"), ("momentum", "1"),
        ("batch_size", "0:64"), ("batch_size", "-4:64"), ("batch_size", "16:99999999999"), ("batch_size", "1.5:3"),
        ("batch_size", "64:16"), ("batch_size", "64,64"), ("batch_size", "1e3"), ("batch_size", "nan:64"),
    ],
)  # fmt: skip
def test_ranges_and_values_that_no_recipe_can_have_are_refused(field, text):
    with pytest.raises(RecipeError, match=f"`{field}`") as told:
        searches.values(field, text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("learning_rate", "5e-324:1e308"),
        ("weight_decay", "0:1e308"),
        ("batch_size", f"1:{2**31 - 1}"),
        ("momentum", "0:0.999"),
    ],
)
def test_the_widest_ranges_can_be_drawn_from(field, text):
    fixed = {"opt": "sgd", "learning_rate": 0.1, "weight_decay": 0.0, "batch_size": 64, "momentum": 0.9, **FIXED}
    search = begun(Space(searched={field: searches.values(field, text)}, fixed=fixed))
    assert len(set(trials_of(search, 8))) == 8


def trials_of(search, count):
    """Recipes drawn, each of which ends with 0.5."""
    made = []
    for _ in range(count):
        trial, recipe = search.begin()
        search.end(trial, ended(recipe), [0.5])
        made.append(recipe)
    return made


def test_a_recipe_that_the_ranges_do_not_hold_is_none_of_the_search(space):
    recipe = trials(begun(space), 1)[0]
    assert space.holds(recipe)
    assert space.holds(replace(recipe, data="elsewhere"))
    assert space.holds(replace(recipe, micro_batch_size=7, threads=2))
    for changes in (
        {"learning_rate": 0.5}, {"batch_size": 128}, {"epochs": 11}, {"seed": 1}, {"softmax": True}, {"arch": "cnn"},
        {"precision": "bf16"},
    ):  # fmt: skip
        assert not space.holds(recipe.changed(**changes)), changes
    assert not space.holds(make_recipe(opt="rmsprop"))


def test_what_counts_is_the_epoch_that_the_recipe_selects(space):
    (recipe,) = trials(begun(space), 1)
    assert searches.score(recipe, [0.1, 0.9, 0.5]) == 0.5
    assert searches.score(replace(recipe, selection=BEST), [0.1, 0.9, 0.5]) == 0.9


def test_a_tag_stands_for_all_that_makes_a_search_but_what_differs_between_machines(space):
    tag = space.tag(None, "f", 0)
    assert tag == replace(space, fixed={**FIXED, "data": "elsewhere"}).tag(None, "f", 0)
    assert len({tag, space.tag(None, "g", 0), space.tag(None, "f", 1)}) == 3
    assert tag == replace(space, fixed={**FIXED, "threads": 7, "device": "cuda"}).tag(None, "f", 0)
    assert tag != replace(space, fixed={**FIXED, "epochs": 11}).tag(None, "f", 0)
    assert space.tag("mine", "f", 0) == "tune-mine"
