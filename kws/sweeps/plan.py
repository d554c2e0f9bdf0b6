"""A sweep's plan: a recipe for every combination of the options' values.

Standard library only. An option's values are separated by commas. Seeds vary fastest, then optimizers, so that runs
that are compared with each other finish early. An option that only some networks or optimizers have applies to those.
A sweep of several presets is a plan of each, one after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from kws.errors import RecipeError
from kws.recipe import BY_OPTION, Recipe, bases, current_name, every_option, kind_of, parse
from kws.recipe.parts import refusal
from kws.recipe.presets import presets
from kws.recipe.wording import suggestion

T = TypeVar("T")
MOST = 100_000
SEEDS = 5  # of the plans below
TABLE1, LEADERBOARD = "table1", "leaderboard"
_TABLE1 = {"arch": "fc,cnn", "opt": "sgd,adam", "epochs": "50"}
Axes = Mapping[str, Sequence[Any]]  # the values of each option


def values(field: str, text: str, kind: Callable[[str], T], choices: Sequence[str] = ()) -> list[T]:
    """The values in "a,b". Raises RecipeError if one is empty, repeated, or not of that kind."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part or (choices and part not in choices):
            about = f"one or several of {', '.join(choices)}" if choices else "values"
            near = suggestion(part, choices)
            raise RecipeError(f"`{field}` (={text!r}) must be {about} with a comma between them{near}")
    try:
        made = [kind(part) for part in parts]
    except ValueError:
        raise RecipeError(f"`{field}` (={text!r}) must be numbers with a comma between them") from None
    if len(set(made)) < len(made):
        raise RecipeError(f"`{field}` (={text!r}) names a value twice")
    return made


def seeds(text: str) -> list[int]:
    """The seeds: 0 to 4 for "5", 3 and 7 for "3,7". Raises RecipeError for none or too many."""
    made = values("seeds", text, int)
    if len(made) > 1:
        return made
    if not 1 <= made[0] <= MOST:
        raise RecipeError(f"`seeds` (={text}) must be a number from 1 to {MOST:,}, or seeds as in --seeds 3,7")
    return list(range(made[0]))


def several(name: str, text: str) -> list[Any]:
    """The values of a recipe's option in "a,b"; a single value if commas are part of the option's own syntax.

    Raises RecipeError if a value is empty, repeated, or not allowed for the option.
    """
    if name in BY_OPTION:
        kind = BY_OPTION[name]
        return [kind.part(each).name for each in values(name, text.replace("_", "-"), str, kind.dashed)]
    option = every_option()[name]
    if option.base is tuple or (option.base is str and not option.choices):
        return [parse(name, text)]
    if option.base is bool:
        return [parse(name, part) for part in values(name, text, str, ("no", "yes"))]
    if len(bases(name)) > 1:
        return values(name, text, lambda part: parse(name, part))
    return values(name, text, option.base, option.choices)


def of_presets(text: str) -> tuple[list[dict[str, Any]], int]:
    """The options' values, texts or a recipe's own, of each preset in "a,b", and how many seeds of them are usual.

    `table1` and `leaderboard` are several. Raises RecipeError for one that there is not, or that is named twice.
    """
    named = values("preset", text, str, (*presets(), TABLE1, LEADERBOARD))
    found = [dict(each.options) for each in presets().values() if {each.name, LEADERBOARD} & {*named}]
    more = {TABLE1, LEADERBOARD} & {*named}
    return [*([dict(_TABLE1)] if more else []), *found], SEEDS if more else 1


def expand(*plans: Axes) -> list[Recipe]:
    """A recipe for each combination of each plan's values, without duplicates; None means the option's default.

    Raises RecipeError for an invalid recipe, for an option that no network or optimizer of any plan takes, and for more
    than MOST combinations.
    """
    named = [{current_name(name): each for name, each in axes.items()} for axes in plans]
    count = sum(math.prod(map(len, axes.values())) for axes in named)
    if count > MOST:
        raise RecipeError(f"the plan has {count:,} combinations; {MOST:,} at most, so give fewer values")
    for name in dict.fromkeys(name for axes in named for name in axes):
        refused = [refused_by(axes, name) for axes in named if name in axes]
        if all(refused):
            raise refused[0]  # type: ignore[misc]
    recipes = (recipe for axes in named for recipe in _recipes(axes))
    return list({(recipe.digest, recipe.data_key): recipe for recipe in recipes}.values())


def _recipes(axes: Axes) -> Iterator[Recipe]:
    others = {name: each for name, each in axes.items() if name != "seed"}
    for chosen in itertools.product(*others.values()):
        recipe = Recipe.of(ignoring=True, **dict(zip(others, chosen, strict=True)))
        for seed in axes.get("seed", (recipe.seed,)):
            yield recipe.with_seed(seed)


def refused_by(axes: Axes, name: str) -> RecipeError | None:
    """The error of one of a plan's options that nothing in it takes; None where something does."""
    kind, given = kind_of(name), [value for value in axes[name] if value is not None]
    if kind is None or kind.several or not given:
        return None
    parts = [kind.chosen({kind.option: each}) for each in axes.get(kind.option, [None])]
    return None if any(name in part.options for part in parts) else refusal(name, given[0], parts[0])
