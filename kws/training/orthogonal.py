"""The optimizer Muon: orthogonalised momentum for the matrices of hidden layers, AdamW for all other parameters.

Matrices are the weights of two axes or more with several input channels; a convolution's has a row per output channel.
The last one belongs to the last layer, and is not a hidden layer's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from kws.training import updates

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # K. Jordan's: singular values go to between 0.7 and 1.2, and fast
ITERATIONS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V' of a matrix U S V', roughly: its singular values are brought to about 1 by Newton-Schulz iterations."""
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    wide = wide / (wide.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if len(matrix) > matrix.shape[1] else wide


class Muon(updates.unwrapped(Optimizer)):  # type: ignore[misc]
    """Muon over parameters in the order of a network's layers; see kws.training.optimizers.muon for its settings."""

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float, momentum: float, adamw_rate: float
    ) -> None:
        every = list(parameters)
        super().__init__(
            every, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "adamw_rate": adamw_rate}
        )
        matrices = [i for i, each in enumerate(every) if each.ndim > 1 and each.shape[1] > 1]
        self._hidden = [every[i] for i in matrices[:-1]]
        others = [each for i, each in enumerate(every) if i not in matrices[:-1]]
        self._adamw = updates.of_torch("AdamW", others, lr=lr, weight_decay=0.0)

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter from its gradient."""
        (group,) = self.param_groups
        for parameter in self._hidden:
            if parameter.grad is None:  # frozen
                continue
            momentum = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(parameter))
            momentum.lerp_(parameter.grad, 1 - group["momentum"])
            ahead = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)
            scale = math.sqrt(max(1.0, len(ahead) / ahead.shape[1]))
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(orthogonalised(ahead).view_as(parameter), alpha=-group["lr"] * scale)
        self._adamw.state = self.state  # which loading a state replaces
        self._adamw.param_groups[0]["lr"] = group["lr"] * group["adamw_rate"]
        self._adamw.step()

    def remembered(self, parameter: Tensor) -> set[str]:
        """The names of the state that is kept of a parameter."""
        hidden = any(parameter is each for each in self._hidden)
        return {"momentum_buffer"} if hidden else {"step", "exp_avg", "exp_avg_sq"}
