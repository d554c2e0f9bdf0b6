"""Cross-entropy: the report's loss, and the mistake that its claim 4 is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import below_one, option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Config:
    """A softmax before it squeezes probabilities twice; smoothed labels are those of Szegedy et al. (CVPR 2016)."""

    softmax_before_loss: bool = option(
        False,
        "Put a softmax before cross-entropy: the mistake that the report corrects.",
        label="softmax before cross-entropy",
        old="softmax",
    )
    label_smoothing: float = option(
        0.0, "Share of each label that is spread over all classes.", check=below_one, absent=0.0
    )


def loss(logits: Tensor, labels: Tensor, config: Config) -> Tensor:
    """The cross-entropy of logits (B, K) with labels (B,), summed over the clips, in nats."""
    import torch.nn.functional as F

    outputs = logits.softmax(1) if config.softmax_before_loss else logits
    return F.cross_entropy(outputs, labels, reduction="sum", label_smoothing=config.label_smoothing)
