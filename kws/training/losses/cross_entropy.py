"""Cross-entropy: the report's loss, and the mistake that its claim 4 is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Config:
    """With a softmax before it, which cross-entropy applies itself: probabilities are squeezed twice."""

    softmax_before_loss: bool = option(
        False,
        "Put a softmax before cross-entropy: the mistake that the report corrects.",
        label="softmax before cross-entropy",
        old="softmax",
    )


def loss(logits: Tensor, labels: Tensor, config: Config) -> Tensor:
    """The cross-entropy of logits (B, K) with labels (B,), summed over the clips, in nats."""
    import torch.nn.functional as F

    return F.cross_entropy(logits.softmax(1) if config.softmax_before_loss else logits, labels, reduction="sum")
