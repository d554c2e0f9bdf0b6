"""The optimizers' updates: PyTorch's fused functions over a network's parameters, and the state that they keep.

torch.optim.SGD and torch.optim.Adam give the same bits, and a test holds these to them. They are not used because
making the first one imports PyTorch's compiler, more than a second before the first step, and because they choose
another implementation than the fused one on a processor. The state is named tensors, as a checkpoint keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Optimizer(Protocol):
    """Changes a network's parameters by their gradients."""

    def zero_grad(self) -> None:
        """Drop the gradients."""

    def step(self) -> None:
        """Change the parameters once."""

    def state(self) -> dict[str, Tensor]:
        """What it remembers between steps, by name."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Remember what state() gave. Raises KeyError or RuntimeError where it is another network's."""


class _Fused:
    """What both have in common: the parameters, and tensors beside each of them."""

    def __init__(self, parameters: Iterable[Tensor], *memories: str) -> None:
        self._parameters = list(parameters)
        self._memories = {name: [torch.zeros_like(p.detach()) for p in self._parameters] for name in memories}

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """The tensors beside each parameter, named after what they are and the parameter's number."""
        return {f"{name}.{i}": t for name, tensors in self._memories.items() for i, t in enumerate(tensors)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Copy what state() gave. Raises KeyError or RuntimeError where it is another network's."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def _gradients(self) -> list[Tensor]:
        gradients = [parameter.grad for parameter in self._parameters]
        return [gradient for gradient in gradients if gradient is not None]


class Sgd(_Fused):
    """v <- momentum v + (gradient + weight_decay w); w <- w - learning_rate v. v begins as 0."""

    def __init__(
        self, parameters: Iterable[Tensor], *, learning_rate: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, "velocity")
        self._learning_rate, self._momentum, self._weight_decay = learning_rate, momentum, weight_decay

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters once."""
        sgd(
            self._parameters,
            self._gradients(),
            [*self._memories["velocity"]],
            fused=True,
            lr=self._learning_rate,
            momentum=self._momentum,
            weight_decay=self._weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
        )


class Adam(_Fused):
    """Kingma and Ba's Algorithm 1, with beta1 = 0.9, beta2 = 0.999 and epsilon = 1e-8."""

    def __init__(self, parameters: Iterable[Tensor], *, learning_rate: float, weight_decay: float) -> None:
        super().__init__(parameters, "mean", "square")
        self._memories["steps"] = [torch.zeros((), device=p.device) for p in self._parameters]
        self._learning_rate, self._weight_decay = learning_rate, weight_decay

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters once."""
        adam(
            self._parameters,
            self._gradients(),
            self._memories["mean"],
            self._memories["square"],
            [],
            self._memories["steps"],
            fused=True,
            amsgrad=False,
            lr=self._learning_rate,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            weight_decay=self._weight_decay,
            maximize=False,
        )
