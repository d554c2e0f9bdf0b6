"""The recipe, and the optimizers' part of it: the report's defaults, and a refusal that names field and value."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger import make_recipe

from kws.errors import RecipeError
from kws.recipe import Recipe, parse_maps, parse_words
from kws.training import optimizers


def test_the_defaults_are_the_reports():
    recipe = Recipe(arch="fc", opt="sgd", learning_rate=0.01)
    assert (recipe.epochs, recipe.batch_size, recipe.seed, recipe.softmax) == (50, 1024, 0, False)
    assert recipe.words == ("yes", "no")


def test_the_optimizers_defaults_are_the_reports():
    assert optimizers.names() == ("sgd", "adam")
    assert [optimizers.title(name) for name in optimizers.names()] == ["SGD", "Adam"]
    assert optimizers.hyperparameters("sgd") == {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 1e-5}
    assert optimizers.hyperparameters("adam") == {"learning_rate": 0.001, "weight_decay": 0}


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_recipe().epochs = 3


@pytest.mark.parametrize("field", ["epochs", "batch_size", "threads", "slice_size"])
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
        make_recipe(**{field: value})
    assert str(refused.value).startswith(f"`{field}` (={value}) must be ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("maps", [(0, 4), (4, 0), (4, -2)])
def test_feature_maps_below_one_are_refused(maps):
    with pytest.raises(RecipeError, match=rf"^`maps` \(={min(maps)}\) must be at least 1$"):
        make_recipe(maps=maps)


def test_no_feature_maps_at_all_are_refused_since_the_registry_could_not_tell_them_from_the_default():
    with pytest.raises(RecipeError, match="`maps`"):
        make_recipe(maps=())


@pytest.mark.parametrize("field", ["epochs", "batch_size", "threads", "slice_size"])
def test_a_number_that_the_registry_cannot_hold_is_refused_by_field_and_value(field):
    with pytest.raises(RecipeError, match=rf"`{field}` \(={2**63}\)"):
        make_recipe(**{field: 2**63})


def test_the_edges_of_the_ranges_are_allowed():
    recipe = make_recipe(epochs=1, batch_size=1, threads=1, slice_size=1, seed=2**63 - 1, momentum=0.0)
    assert recipe.hyperparameters() == {"learning_rate": 0.001, "weight_decay": 0.0, "momentum": 0.0}


def test_an_optimizer_without_momentum_has_none_among_its_hyperparameters():
    assert make_recipe(opt="adam").hyperparameters() == {"learning_rate": 0.001, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [("yes,no", ("yes", "no")), (" yes , no ", ("yes", "no")), ("stop", ("stop",)), ("ja,hæ?", ("ja", "hæ?"))],
)
def test_words_are_read_in_their_order(text, words):
    assert parse_words(text) == words


@pytest.mark.parametrize("text", ["", ",", "yes,", ",no", "yes,,no", " ", "yes,yes", "yes, yes", "yes,other", "other"])
def test_words_that_cannot_be_are_refused_with_the_text_given(text):
    with pytest.raises(RecipeError) as refused:
        parse_words(text)
    assert str(refused.value).startswith(f"`words` (={text!r}) ")


def test_as_many_words_as_a_byte_can_tell_apart_are_allowed_and_no_more():
    words = [f"w{i}" for i in range(256)]
    assert len(parse_words(",".join(words[:255]))) == 255
    with pytest.raises(RecipeError, match="256 words; 255 at most"):
        parse_words(",".join(words))


@given(st.lists(st.integers(min_value=1, max_value=10_000), min_size=1, max_size=4))
def test_maps_are_read_as_they_are_written(maps):
    assert parse_maps(",".join(map(str, maps))) == tuple(maps)


@pytest.mark.parametrize("text", ["", "32,", ",16", "32;16", "many", "1.5,2", "32,sixteen"])
def test_maps_that_are_no_numbers_are_refused_with_the_text_given(text):
    with pytest.raises(RecipeError) as refused:
        parse_maps(text)
    assert str(refused.value).startswith(f"`maps` (={text!r}) must be numbers")


@pytest.mark.parametrize("name", optimizers.names())
def test_a_hyperparameter_that_was_given_takes_its_defaults_place(name):
    assert optimizers.hyperparameters(name, learning_rate=0.5) == optimizers.defaults(name) | {"learning_rate": 0.5}
    assert optimizers.hyperparameters(name, weight_decay=0.0)["weight_decay"] == 0.0
    assert optimizers.hyperparameters(name, learning_rate=None, momentum=None) == optimizers.defaults(name)


@pytest.mark.parametrize("value", [0.9, 0.0])
def test_a_hyperparameter_that_the_optimizer_does_not_have_is_refused(value):
    with pytest.raises(RecipeError) as refused:
        optimizers.hyperparameters("adam", momentum=value)
    assert str(refused.value) == f"`momentum` (={value}) is not for adam, which has learning_rate, weight_decay"


def test_an_optimizer_of_another_version_is_shown_by_its_name():
    assert optimizers.title("lion") == "lion"
