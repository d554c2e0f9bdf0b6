"""The optimizers: one function each, and this module is the list of them.

A function's name is the optimizer's name on the command line, its keyword defaults are the report's, and its
docstring up to the colon is its column's title in Table 1. torch is imported inside, so that names and defaults are
known without it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from kws.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from kws.training.updates import Optimizer


def sgd(
    parameters: Iterable[Tensor], *, learning_rate: float = 0.01, momentum: float = 0.9, weight_decay: float = 1e-5
) -> Optimizer:
    """SGD: stochastic gradient descent with momentum and L2 weight decay, as in torch.optim.SGD."""
    from kws.training.updates import Sgd

    return Sgd(parameters, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay)


def adam(parameters: Iterable[Tensor], *, learning_rate: float = 0.001, weight_decay: float = 0.0) -> Optimizer:
    """Adam: Kingma and Ba (arXiv:1412.6980), PyTorch's defaults for its moments and epsilon."""
    from kws.training.updates import Adam

    return Adam(parameters, learning_rate=learning_rate, weight_decay=weight_decay)


@cache
def _functions() -> dict[str, Callable[..., Optimizer]]:
    """The functions of this module whose first argument is `parameters`, by name."""
    found = inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    return {name: f for name, f in found if next(iter(inspect.signature(f).parameters), "") == "parameters"}


@cache
def names() -> tuple[str, ...]:
    """Every optimizer's name, in the order of this file: the order of Table 1's columns."""
    return tuple(sorted(_functions(), key=lambda name: _functions()[name].__code__.co_firstlineno))


def title(name: str) -> str:
    """The optimizer's name in a table: its docstring up to the colon; the name itself if it is not one of ours."""
    function = _functions().get(name)
    return (function.__doc__ or name).split(":")[0] if function else name


@cache
def defaults(name: str) -> Mapping[str, float]:
    """The optimizer's hyperparameters and their defaults."""
    signature = inspect.signature(_functions()[name])
    return MappingProxyType({p.name: p.default for p in signature.parameters.values() if p.default is not p.empty})


def hyperparameters(name: str, **given: float | None) -> dict[str, float]:
    """The optimizer's defaults with those given (not None) in their place.

    Raises RecipeError for a hyperparameter that the optimizer does not have.
    """
    known = defaults(name)
    chosen = {field: value for field, value in given.items() if value is not None}
    for field, value in chosen.items():
        if field not in known:
            raise RecipeError(f"`{field}` (={value}) is not for {name}, which has {', '.join(known)}")
    return {**known, **chosen}


def build(name: str, parameters: Iterable[Tensor], **values: float) -> Optimizer:
    """The optimizer over these parameters."""
    return _functions()[name](parameters, **values)
