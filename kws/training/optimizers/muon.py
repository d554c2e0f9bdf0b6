"""Muon: momentum orthogonalised by Newton-Schulz, with AdamW for what is no hidden layer's matrix (Jordan, 2024).

K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon. A weight
of a hidden layer is a matrix of a row per output; every step of it has singular values of about 1, so that all its
directions are learnt at one pace. Where it differs from torch.optim.Muon: that one takes matrices alone and computes in
bfloat16, which is slow without instructions for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import above_zero, below_one, not_negative, option

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

ORDER = 4


@dataclass(frozen=True, kw_only=True)
class Config:
    """v <- momentum v + gradient; w <- (1 - learning_rate weight_decay) w - learning_rate s orthogonal(v').

    v' is Nesterov's gradient + momentum v, and s the root of rows over columns, at least 1.
    """

    learning_rate: float = option(0.02, "How far a step goes.", check=above_zero, search="0.005:0.2", log=True)
    weight_decay: float = option(
        0.01, "How much weights are pulled to 0.", check=not_negative, search="1e-6:0.01", log=True
    )
    momentum: float = option(0.95, "The share of the last step in the next.", check=below_one, search="0.8:0.99")
    adamw_rate: float = option(
        0.1, "The learning rate of biases, norms and the last layer, as a share of the matrices'.", check=above_zero
    )


def optimizer(parameters: Iterable[Tensor], config: Config) -> Optimizer:
    """The optimizer over these parameters, in the order of a network's layers."""
    from kws.training.orthogonal import Muon

    return Muon(
        parameters,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        adamw_rate=config.adamw_rate,
    )
