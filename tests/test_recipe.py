"""The recipe, and the optimizers' part of it: the report's defaults, and a refusal that names field and value."""

from __future__ import annotations

import dataclasses
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger import defaults, make_recipe

from kws.errors import RecipeError
from kws.recipe import OPTIMIZER, Recipe, parse, plain


def test_the_defaults_are_the_reports():
    recipe = Recipe.of(arch="fc", opt="sgd", learning_rate=0.01)
    assert (recipe.epochs, recipe.batch_size, recipe.seed, recipe.softmax_before_loss) == (50, 1024, 0, False)
    assert recipe.words == ("yes", "no")


def test_the_optimizers_defaults_are_the_reports():
    assert tuple(OPTIMIZER.parts) == ("sgd", "adam", "adamw", "muon")
    assert [OPTIMIZER.title(name) for name in tuple(OPTIMIZER.parts)] == ["SGD", "Adam", "AdamW", "Muon"]
    assert defaults("sgd") == {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-5, "nesterov": False}
    assert defaults("adam") == {"learning_rate": 0.001, "weight_decay": 0}


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_recipe().epochs = 3


@pytest.mark.parametrize("field", ["epochs", "batch_size", "threads", "micro_batch_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_number_below_one_is_refused_by_field_and_value(field, value):
    with pytest.raises(RecipeError) as refused:
        make_recipe(**{field: value})
    assert str(refused.value) == f"`{field}` (={value}) must be at least 1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("seed", 2**63),
        *(("learning_rate", value) for value in (0.0, -0.1, math.nan, math.inf, -math.inf)),
        *(("momentum", value) for value in (-0.1, 1.0, 1.5, math.nan, math.inf, -math.inf)),
        *(("weight_decay", value) for value in (-1e-9, math.nan, math.inf, -math.inf)),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_field_and_value(field, value):
    with pytest.raises(RecipeError) as refused:
        make_recipe(opt="sgd", **{field: value})
    assert str(refused.value).startswith(f"`{field}` (={value}) must be ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("maps", [(0, 4), (4, 0), (4, -2)])
def test_feature_maps_below_one_are_refused(maps):
    with pytest.raises(RecipeError, match=rf"^`channels` \(={min(maps)}\) must be at least 1$"):
        make_recipe(maps=maps)


def test_no_channels_at_all_are_refused():
    with pytest.raises(RecipeError, match="`channels`"):
        make_recipe(maps=())


@pytest.mark.parametrize("field", ["epochs", "batch_size", "threads", "micro_batch_size"])
def test_a_number_that_the_registry_cannot_hold_is_refused_by_field_and_value(field):
    with pytest.raises(RecipeError, match=rf"`{field}` \(={2**63}\)"):
        make_recipe(**{field: 2**63})


def test_the_edges_of_the_ranges_are_allowed():
    recipe = make_recipe(opt="sgd", epochs=1, batch_size=1, threads=1, micro_batch_size=1, seed=2**63 - 1, momentum=0.0)
    assert recipe.optimizer.values() == {
        "learning_rate": 0.01,
        "weight_decay": 1e-5,
        "momentum": 0.0,
        "nesterov": False,
    }


def test_an_optimizer_without_momentum_has_none_among_its_hyperparameters():
    assert make_recipe(opt="adam").optimizer.values() == {"learning_rate": 0.001, "weight_decay": 0.0}
    assert make_recipe(opt="adam").momentum is None


@pytest.mark.parametrize(
    ("text", "words"),
    [("yes,no", ("yes", "no")), (" yes , no ", ("yes", "no")), ("stop", ("stop",)), ("ja,hæ?", ("ja", "hæ?"))],
)
def test_words_are_read_in_their_order(text, words):
    assert made(text) == words


@pytest.mark.parametrize("text", ["", ",", "yes,", ",no", "yes,,no", " ", "yes,yes", "yes, yes", "yes,other", "other"])
def test_words_that_cannot_be_are_refused_with_the_text_given(text):
    with pytest.raises(RecipeError) as refused:
        made(text)
    assert str(refused.value).startswith(f"`words` (={text.replace(', ', ',')!r}) ")


def made(text):
    return Recipe.of(arch="fc", opt="sgd", words=parse("words", text)).words


def test_as_many_words_as_a_byte_can_tell_apart_are_allowed_and_no_more():
    words = [f"w{i}" for i in range(256)]
    assert len(made(",".join(words[:255]))) == 255
    with pytest.raises(RecipeError, match="256 words; 255 at most"):
        made(",".join(words))


@given(st.lists(st.integers(min_value=1, max_value=10_000), min_size=1, max_size=4))
def test_maps_are_read_as_they_are_written(maps):
    assert parse("maps", ",".join(map(str, maps))) == tuple(maps)


@pytest.mark.parametrize("text", ["", "32,", ",16", "32;16", "many", "1.5,2", "32,sixteen"])
def test_maps_that_are_no_numbers_are_refused_with_the_text_given(text):
    with pytest.raises(RecipeError) as refused:
        parse("maps", text)
    assert str(refused.value).startswith(f"`channels` (={text!r}) must be numbers")


@pytest.mark.parametrize("name", tuple(OPTIMIZER.parts))
def test_a_hyperparameter_that_was_given_takes_its_defaults_place(name):
    def values(**given):
        return Recipe.of(arch="fc", opt=name, **given).optimizer.values()

    assert values(learning_rate=0.5) == defaults(name) | {"learning_rate": 0.5}
    assert values(weight_decay=0.0)["weight_decay"] == 0.0
    assert values(learning_rate=None, momentum=None) == defaults(name)


@pytest.mark.parametrize("value", [0.9, 0.0])
def test_a_hyperparameter_that_the_optimizer_does_not_have_is_refused(value):
    with pytest.raises(RecipeError) as refused:
        Recipe.of(arch="fc", opt="adam", momentum=value)
    assert str(refused.value) == f"`momentum` (={plain(value)}) is not for adam, which has learning_rate, weight_decay"


def test_an_optimizer_of_another_version_is_shown_by_its_name():
    assert OPTIMIZER.title("lion") == "lion"


@pytest.mark.parametrize("options", [{}, {"noise": "builtin"}, {"fold": "1/5"}, {"schedule": "cosine", "seed": 7}])
@pytest.mark.parametrize("seed", [0, 3, 10**9])
def test_another_seed_makes_the_recipe_that_it_would_have_been(options, seed):
    base = Recipe.of(arch="cnn", opt="adam", **options)
    for made in (base.with_seed(seed), base.with_seed(4).with_seed(seed)):
        wanted = Recipe.of(arch="cnn", opt="adam", **options | {"seed": seed})
        assert (made, hash(made)) == (wanted, hash(wanted))
        assert (made.digest, made.cell, made.text) == (wanted.digest, wanted.cell, wanted.text)
        assert made.values == wanted.values
        assert made.changed(epochs=3) == wanted.changed(epochs=3)
        assert pickle.loads(pickle.dumps(made)) == wanted


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", True])
def test_a_seed_that_cannot_be_is_refused_for_another_recipe_too(seed):
    with pytest.raises(RecipeError, match="`seed`"):
        Recipe.of(arch="cnn", opt="adam").with_seed(seed)
