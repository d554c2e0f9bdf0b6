"""Convolutional: the report's second network, two convolutions of 5x5 with pooling, then 2464 -> 128 -> 128 -> K.

Pooling comes before ReLU here. max(relu(x)) = relu(max(x)), so the numbers are the same, gradients included, and ReLU
has a quarter of the values to look at. Weights and activations are channels_last, which is what the convolutions want.
"""

import torch
from torch import Tensor, nn

from kws.architectures import BANDS, FRAMES

ORDER = 2
MAPS = (32, 16)
SLICE = {"fp32": 32, "bf16": 128}  # conv1's output for 1,024 clips is 457 MB in fp32; for 32 it is 14 MB


class Network(nn.Module):
    """Log-mel features (B, T, M) to logits (B, K); `maps` are the feature maps of conv1 and conv2."""

    def __init__(self, classes: int, maps: tuple[int, int] = MAPS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, maps[0], kernel_size=5)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(maps[0], maps[1], kernel_size=5)
        self.pool2 = nn.MaxPool2d(2)
        frames, bands = (((size - 4) // 2 - 4) // 2 for size in (FRAMES, BANDS))
        self.fc1 = nn.Linear(maps[1] * frames * bands, 128)
        self.fc2 = nn.Linear(128, 128)
        self.fc3 = nn.Linear(128, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, M) to logits (B, K)."""
        x = features.unsqueeze(1)
        x = torch.relu(self.pool1(self.conv1(x)))
        x = torch.relu(self.pool2(self.conv2(x)))
        x = x.flatten(1)
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)
