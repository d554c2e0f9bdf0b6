"""EMA: an exponential moving average of the weights (Polyak and Juditsky, 1992), evaluated and kept in their place.

It starts as the weights after the first step. Statistics of batch normalisation are averaged as well; counts are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import below_one, option

if TYPE_CHECKING:
    from torch import Tensor, nn

ORDER = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """How much of the average stays in a step."""

    decay: float = option(0.999, "Share of the average that stays in each step.", check=below_one)


def updated(average: dict[str, Tensor], model: nn.Module, config: Config) -> dict[str, Tensor]:
    """The average after a step, tensors by their names in the network's state_dict()."""
    now = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if not average:
        return {name: tensor.clone() for name, tensor in now.items()}
    for name, tensor in now.items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - config.decay)
        else:
            average[name].copy_(tensor)
    return average
