"""What runs are called beside each other in a figure: network and optimizer, and what else differs among them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from kws import architectures
from kws.registry.runs import Run
from kws.reports import digits
from kws.training import optimizers

_OF_OPTIMIZERS = ("learning_rate", "momentum", "weight_decay")  # whose defaults differ, and are no difference
_VARYING = (
    *("seed", "learning_rate", "batch_size", "softmax", "maps", "momentum", "weight_decay"),
    *("epochs", "precision", "selection"),
)


def names(
    runs: Sequence[Run], *, panel: Callable[[Run], Hashable] = lambda _: None, without: tuple[str, ...] = ()
) -> list[str]:
    """A name a run, in the order given, no two in one `panel` the same: where nothing else does, ids tell them apart.

    The fields `without` are not told; runs that differ in nothing else have one name then.
    """
    called = _called(runs, without)
    if without:
        return called
    places = [(panel(run), name) for run, name in zip(runs, called, strict=True)]
    return [
        name if places.count(place) == 1 else f"{name} [{run.id}]"
        for run, name, place in zip(runs, called, places, strict=True)
    ]


def _called(runs: Sequence[Run], without: tuple[str, ...]) -> list[str]:
    varying = [field for field in _VARYING if field not in without and _varies(field, runs)]
    floats = {field: digits.texts(_numbers(field, runs)) for field in varying if field in _OF_OPTIMIZERS}
    found = []
    for run in runs:
        extra = []
        for field in varying:
            value = getattr(run.recipe, field)
            if field == "softmax":
                extra += ["softmax"] if value else []
            elif value is not None:
                extra.append(f"{field.replace('_', ' ')} {floats.get(field, {}).get(value, value)}")
        head = f"{architectures.title(run.recipe.arch)}, {optimizers.title(run.recipe.opt)}"
        found.append(", ".join([head, *extra]))
    return found


def _varies(field: str, runs: Sequence[Run]) -> bool:
    """Whether runs differ in a field; in an optimizer's hyperparameter, whether those of one optimizer do."""
    if field not in _OF_OPTIMIZERS:
        return len({getattr(run.recipe, field) for run in runs}) > 1
    return len({(run.recipe.opt, getattr(run.recipe, field)) for run in runs}) > len({run.recipe.opt for run in runs})


def _numbers(field: str, runs: Sequence[Run]) -> set[float]:
    return {value for run in runs if (value := getattr(run.recipe, field)) is not None}
