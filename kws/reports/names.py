"""What runs are called beside each other in a figure: network and optimizer, and what else differs among them."""

from __future__ import annotations

from kws import architectures, optimizers
from kws.registry.runs import Run

_VARYING = ("seed", "learning_rate", "batch_size", "softmax", "maps")


def names(runs: list[Run]) -> list[str]:
    """A name a run, in the order given, no two the same: where nothing else tells them apart, their ids do."""
    varying = [
        field
        for field in _VARYING
        if any(
            len({getattr(run.recipe, field) for run in runs if field != "learning_rate" or run.recipe.opt == opt}) > 1
            for opt in {run.recipe.opt for run in runs}
        )
    ]
    found = []
    for run in runs:
        extra = []
        for field in varying:
            value = getattr(run.recipe, field)
            if field == "softmax":
                extra += ["softmax"] if value else []
            elif value is not None:
                extra.append(f"{field.replace('_', ' ')} {value}")
        head = f"{architectures.title(run.recipe.arch)}, {optimizers.title(run.recipe.opt)}"
        found.append(", ".join([head, *extra]))
    return [name if found.count(name) == 1 else f"{name} [{run.id}]" for name, run in zip(found, runs, strict=True)]
