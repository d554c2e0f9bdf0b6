"""Whether a network's training step may be computed by a function of its own in place of its modules."""

import torch
from torch import Tensor


def takes(features: Tensor) -> bool:
    """Whether such a function takes these features: on a processor, in full precision, without a gradient of theirs."""
    return features.device.type == "cpu" and not features.requires_grad and not torch.is_autocast_enabled("cpu")
