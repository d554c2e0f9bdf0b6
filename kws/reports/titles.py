"""What a run's row or column is called, and where it stands: by the field that rows or columns are made of.

The wording is the report's, "Fully-connected (567171 params)"; what is not the report's network or the optimizer's
default is said, so that runs of different recipes never have one title.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kws import architectures
from kws.registry.runs import Run
from kws.reports import digits
from kws.training import optimizers

Numbers = Mapping[str, Mapping[float, str]]  # how each is written, by field


def title(run: Run, field: str, *, other: str, numbers: Numbers | None = None) -> str:
    """The row or column of a run: the report's wording, "Fully-connected (567171 params)", and what is not usual.

    Numbers are written as `numbers` says, else with all their digits.
    """
    about = [_name(run, field, numbers or {})]
    if field == "arch" or (field != "opt" and other == "opt"):
        about += [text for name, text in _of_network(run).items() if name != other and name != field]
    if field == "opt" or (field != "arch" and other == "arch"):
        about += [text for name, text in _of_optimizer(run, numbers or {}).items() if name != other and name != field]
    if {field, other}.isdisjoint({"arch"}) and field != "opt":
        about.append(architectures.title(run.recipe.arch))
    if {field, other}.isdisjoint({"opt"}) and field != "arch":
        about.append(optimizers.title(run.recipe.opt))
    if field == "arch":
        return f"{', '.join(about)} ({run.parameters} params)"
    first, *rest = about
    return f"{first} ({', '.join(rest)})" if rest else first


def _name(run: Run, field: str, numbers: Numbers) -> str:
    value = getattr(run.recipe, field)
    if field == "arch":
        return architectures.title(value)
    if field == "opt":
        return optimizers.title(value)
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f"{field.replace('_', ' ')} {_plain(value, numbers.get(field)) if isinstance(value, float) else value}"


def _of_network(run: Run) -> dict[str, str]:
    about = {}
    if run.recipe.maps:
        about["maps"] = f"{' and '.join(map(str, run.recipe.maps))} maps"
    if run.recipe.softmax:
        about["softmax"] = "softmax before cross-entropy"
    return about


def _of_optimizer(run: Run, numbers: Numbers) -> dict[str, str]:
    """The hyperparameters that are not the optimizer's defaults."""
    name = run.recipe.opt
    defaults = optimizers.defaults(name) if name in optimizers.names() else {}
    given = run.recipe.hyperparameters()
    return {
        field: f"{field.replace('_', ' ')} {_plain(given[field], numbers.get(field))}"
        for field in given
        if given[field] != defaults.get(field)
    }


def place(run: Run, field: str) -> tuple[Any, ...]:
    """Where a run's row or column stands: in the order of networks and optimizers, and of numbers elsewhere."""
    recipe = run.recipe
    if field == "arch":
        return _rank(recipe.arch, architectures.names()), recipe.softmax, -run.parameters
    if field == "opt":
        return _rank(recipe.opt, optimizers.names()), 0, 0
    value = getattr(recipe, field)
    return (0, value, 0) if isinstance(value, int | float) else (1, str(value), 0)


def _rank(name: str, names: tuple[str, ...]) -> int:
    return names.index(name) if name in names else len(names)


def numbers_of(runs: Iterable[Run]) -> Numbers:
    """How numbers are written in the titles of runs that stand beside each other, by the fields that have them."""
    found: dict[str, set[float]] = {}
    for run in runs:
        for field, value in run.recipe.hyperparameters().items():
            found.setdefault(field, set()).add(value)
    return {field: digits.texts(values) for field, values in found.items()}


def _plain(value: float, texts: Mapping[float, str] | None) -> str:
    """A number as titles have it: never so that two columns have one title."""
    return (texts or {}).get(value) or repr(value).removesuffix(".0")
