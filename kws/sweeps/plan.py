"""A sweep's plan: every combination of the values that its options name, as recipes.

Standard library only. An option's values stand with a comma between them. Seeds vary fastest, then optimizers: what is
compared with each other is there early. An option that only some networks or optimizers have counts for those.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from kws import architectures
from kws.errors import RecipeError
from kws.recipe import Recipe
from kws.training import optimizers

T = TypeVar("T")
MOST = 100_000
TABLE1 = {"arch": "fc,cnn", "opt": "sgd,adam", "seeds": "5", "epochs": "50"}
OF_OPTIMIZERS = ("learning_rate", "momentum", "weight_decay")


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


def switch(field: str, text: str) -> list[bool]:
    """False for "no", True for "yes", both for "no,yes"."""
    return [part == "yes" for part in values(field, text, str, ("no", "yes"))]


def expand(axes: Mapping[str, Sequence[Any]]) -> list[Recipe]:
    """A recipe for each combination of the fields' values, each once; a value of None is the default.

    Raises RecipeError for a recipe that cannot be, for a value that no network or optimizer of the plan has, and for
    more than MOST combinations.
    """
    count = 1
    for each in axes.values():
        count *= len(each)
    if count > MOST:
        raise RecipeError(f"the plan has {count:,} combinations; {MOST:,} at most, so give fewer values")
    _require_taker(axes)
    return list(dict.fromkeys(_recipes(axes)))


def _recipes(axes: Mapping[str, Sequence[Any]]) -> Iterator[Recipe]:
    for chosen in itertools.product(*axes.values()):
        yield complete(dict(zip(axes, chosen, strict=True)))


def complete(fields: Mapping[str, Any]) -> Recipe:
    """The recipe with these fields; those that its network or optimizer does not have do not count.

    Hyperparameters that are None or left out are the optimizer's defaults. Raises RecipeError for one that cannot be.
    """
    arch, opt, own = fields["arch"], fields["opt"], optimizers.defaults(fields["opt"])
    chosen = {name: value for name, value in fields.items() if name not in OF_OPTIMIZERS}
    chosen |= optimizers.hyperparameters(opt, **{name: fields.get(name) for name in own})
    maps = fields["maps"] if architectures.has_maps(arch) else None
    if maps:
        architectures.require_maps(arch, maps)
    size = architectures.slice_size(
        arch, max(fields["batch_size"], 1), precision=fields["precision"], device=fields["device"]
    )
    return Recipe(**{**chosen, "maps": architectures.normal_maps(arch, maps), "slice_size": size})


def _require_taker(axes: Mapping[str, Sequence[Any]]) -> None:
    """Raise RecipeError where an option was given that nothing in the plan takes."""
    for name in OF_OPTIMIZERS:
        if axes[name] != [None] and not any(name in optimizers.defaults(opt) for opt in axes["opt"]):
            optimizers.hyperparameters(axes["opt"][0], **{name: axes[name][0]})
    if axes["maps"] != [None] and not any(architectures.has_maps(arch) for arch in axes["arch"]):
        raise RecipeError(f"`maps` is not for {', '.join(axes['arch'])}, which has no feature maps")
