"""SGD: stochastic gradient descent with momentum and L2 weight decay, as in torch.optim.SGD."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import above_zero, below_one, not_negative, option

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

ORDER = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """v <- momentum v + (gradient + weight_decay w); w <- w - learning_rate v. v begins as 0."""

    learning_rate: float = option(
        0.01, "How far a step goes.", check=above_zero, search="0.0001:0.1", log=True
    )  # fmt: skip
    weight_decay: float = option(
        1e-5, "How much weights are pulled to 0.", check=not_negative, search="1e-6:0.01", log=True
    )
    momentum: float = option(0.9, "The share of the last step in the next.", check=below_one, search="0.8:0.99")
    nesterov: bool = option(False, "Nesterov's momentum.", absent=False)


def optimizer(parameters: Iterable[Tensor], config: Config) -> Optimizer:
    """The optimizer over these parameters."""
    from kws.training.updates import of_torch

    return of_torch(
        "SGD",
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
    )
