"""A sweep's plan: every combination of the values that its options name, as recipes.

Standard library only. An option's values stand with a comma between them. Seeds vary fastest, then optimizers: what is
compared with each other is there early.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kws import architectures, optimizers
from kws.errors import RecipeError
from kws.recipe import Recipe

T = TypeVar("T")
MOST = 100_000
TABLE1 = {"arch": "fc,cnn", "opt": "sgd,adam", "seeds": "5", "epochs": "50"}


def values(field: str, text: str, kind: Callable[[str], T], choices: Sequence[str] = ()) -> list[T]:
    """The values in "a,b". Raises RecipeError for an empty or repeated one, or one that is not of that kind."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part or (choices and part not in choices):
            about = f"one or several of {', '.join(choices)}" if choices else "values"
            raise RecipeError(f"`{field}` (={text!r}) must be {about} with a comma between them")
    try:
        made = [kind(part) for part in parts]
    except ValueError:
        raise RecipeError(f"`{field}` (={text!r}) must be numbers with a comma between them") from None
    if len(set(made)) < len(made):
        raise RecipeError(f"`{field}` (={text!r}) names a value twice")
    return made


def seeds(text: str) -> list[int]:
    """The seeds 0 to 4 for "5", and those themselves for "3,7". Raises RecipeError for none, or too many."""
    made = values("seeds", text, int)
    if len(made) > 1:
        return made
    if not 1 <= made[0] <= MOST:
        raise RecipeError(f"`seeds` (={text}) must be a number from 1 to {MOST:,}, or seeds as in --seeds 3,7")
    return list(range(made[0]))


def expand(axes: Mapping[str, Sequence[Any]], *, maps: tuple[int, ...] | None, **fixed: Any) -> list[Recipe]:
    """A recipe for each combination; `fixed` are fields that all have.

    Raises RecipeError for a recipe that cannot be, for two that are the same, and for more than MOST of them.
    """
    count = 1
    for each in axes.values():
        count *= len(each)
    if count > MOST:
        raise RecipeError(f"the plan has {count:,} runs; {MOST:,} at most, so give fewer values")
    plan = []
    for chosen in itertools.product(*axes.values()):
        one = dict(zip(axes, chosen, strict=True))
        given = {name: one.pop(name) for name in ("learning_rate", "momentum", "weight_decay")}
        one |= optimizers.hyperparameters(one["opt"], **given)
        one["slice_size"] = architectures.slice_size(
            one["arch"], max(one["batch_size"], 1), precision=one["precision"], device=fixed["device"]
        )
        one["maps"] = architectures.normal_maps(one["arch"], maps)
        plan.append(Recipe(**one, **fixed))
    return plan
