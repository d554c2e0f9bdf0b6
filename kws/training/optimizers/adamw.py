"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import above_zero, not_negative, option

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

ORDER = 3


@dataclass(frozen=True, kw_only=True)
class Config:
    """Algorithm 2 of the paper, with beta1 = 0.9, beta2 = 0.999 and epsilon = 1e-8; PyTorch's defaults."""

    learning_rate: float = option(0.001, "How far a step goes.", check=above_zero, search="0.0001:0.1", log=True)
    weight_decay: float = option(
        0.01, "How much weights are pulled to 0.", check=not_negative, search="1e-6:0.01", log=True
    )


def optimizer(parameters: Iterable[Tensor], config: Config) -> Optimizer:
    """The optimizer over these parameters."""
    from kws.training.updates import of_torch

    return of_torch("AdamW", parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
