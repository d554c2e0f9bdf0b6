"""Fully-connected: the report's first network, 4040 -> 128 -> 128 -> 128 -> 128 -> K."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from kws.architectures import BANDS, FRAMES

ORDER = 1
MICRO_BATCH: dict[str, int] = {}  # the whole minibatch: its activations are small, its weights are what must be read


class Network(nn.Sequential):
    """Log-mel features (B, T, M) to logits (B, K); ReLU between the layers, no softmax at the end."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        sizes = [FRAMES * BANDS, 128, 128, 128, 128, classes]
        for i, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            self.add_module(f"fc{i}", nn.Linear(inputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, M) to logits (B, K)."""
        x = features.flatten(1)
        *hidden, last = self
        for layer in hidden:
            x = torch.relu(layer(x))
        return last(x)
