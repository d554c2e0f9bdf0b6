"""Convolutional: the report's second network, two convolutions of 5x5 with pooling, then 2464 -> 128 -> 128 -> K.

Pooling comes before ReLU here. max(relu(x)) = relu(max(x)), so the numbers are the same, gradients included, and ReLU
has a quarter of the values to look at. Weights and activations are channels_last, which is what the convolutions want.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kws.architectures import BANDS, FRAMES
from kws.errors import RecipeError
from kws.recipe import count, option, plain

ORDER = 2
MICRO_BATCH = {"fp32": 32, "bf16": 128}  # conv1's output for 1,024 clips is 457 MB in fp32; for 32 it is 14 MB


def two(field: str, channels: tuple[int, ...]) -> None:
    """Raise RecipeError unless there is a number for each convolution."""
    count(field, channels)
    if len(channels) != 2:
        raise RecipeError(f"`{field}` (={plain(channels)}) must be 2 numbers, as in --channels 32,16")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The report's network, or one with other channels."""

    channels: tuple[int, ...] = option(
        (32, 16), "Channels of each convolution.", check=two, metavar="N,N", old="maps"
    )  # fmt: skip


class Network(nn.Module):
    """Log-mel features (B, T, M) to logits (B, K)."""

    def __init__(self, classes: int, config: Config) -> None:
        super().__init__()
        first, second = config.channels
        self.conv1 = nn.Conv2d(1, first, kernel_size=5)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(first, second, kernel_size=5)
        self.pool2 = nn.MaxPool2d(2)
        frames, bands = (((size - 4) // 2 - 4) // 2 for size in (FRAMES, BANDS))
        self.fc1 = nn.Linear(second * frames * bands, 128)
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
