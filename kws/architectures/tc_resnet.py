"""TC-ResNet: temporal convolutions with residual blocks (Choi et al., Interspeech 2019, arXiv:1904.03814).

The 40 mel bands are the channels of 1-D convolutions over time. A convolution of 3 is followed by residual blocks of
two convolutions of 9 with batch normalisation; then comes the mean over time. Where it differs from the paper: log-mel
features in place of MFCC, and no dropout unless asked for. A width is a factor on the channels, rounded down.

Two options are not the paper's. With kernels shorter than its 9, as many parameters give more channels, which helps the
smallest networks. A front is a two-dimensional convolution over frames and bands, and answers alike to a sound that is
a little higher or lower, as those of kws.architectures.bc_resnet do. It costs little: its stride takes the place of the
first block's.

Convolutions are two-dimensional of height 1, over features that lie in memory as they came, a frame's channels side by
side. PyTorch computes those 1.5 times as fast as one-dimensional ones.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from kws.architectures import BANDS
from kws.errors import RecipeError
from kws.recipe import above_zero, below_one, not_negative, option

ORDER = 4
BATCH_STATISTICS = True
CHANNELS = (16, 24, 32, 48)


def depths(field: str, depth: int) -> None:
    """Raise RecipeError for a depth that the paper does not have."""
    if depth not in (8, 14):
        raise RecipeError(f"`{field}` (={depth}) must be 8 or 14")


def odd(field: str, value: int) -> None:
    """Raise RecipeError for a kernel that has no middle."""
    if value < 1 or value % 2 == 0:
        raise RecipeError(f"`{field}` (={value}) must be odd: 3, 5, 7, 9 ...")


@dataclass(frozen=True, kw_only=True)
class Config:
    """TC-ResNet8, TC-ResNet14, and wider or narrower ones."""

    width: float = option(1.0, "Factor on the channels.", check=above_zero)
    depth: int = option(8, "8, or 14 with each block once more.", check=depths)
    front: int = option(
        0,
        "Channels of a first convolution over frames and bands, with stride 2; 0 for none, as in the paper.",
        check=not_negative,
        absent=0,
    )
    kernel: int = option(9, "Frames under each of a block's convolutions.", check=odd, absent=9)
    dropout: float = option(0.0, "Share of the means over time that is dropped in training.", check=below_one)


def over_time(entering: int, leaving: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution over the frames of (B, C, 1, T)."""
    return nn.Conv2d(entering, leaving, (1, kernel), (1, stride), (0, kernel // 2), bias=False)


class Front(nn.Module):
    """A convolution over frames and bands with stride 2; (B, T, M) to (B, T / 2, C M / 2), C channels a band."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, (3, 5), 2, (1, 2), bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Features of half as many frames, a frame's channels side by side."""
        x = self.norm(self.conv(features.unsqueeze(3).permute(0, 3, 1, 2))).relu_()  # (B, C, T / 2, M / 2)
        return x.permute(0, 2, 3, 1).flatten(2)


class Block(nn.Module):
    """Two convolutions over time and a shortcut; (B, C, 1, T) to (B, C', 1, T / stride)."""

    def __init__(self, entering: int, leaving: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = over_time(entering, leaving, kernel, stride)
        self.norm1 = nn.BatchNorm2d(leaving)
        self.conv2 = over_time(leaving, leaving, kernel)
        self.norm2 = nn.BatchNorm2d(leaving)
        self.shortcut: nn.Module = nn.Identity()
        if entering != leaving or stride != 1:
            convolution = over_time(entering, leaving, 1, stride)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(leaving), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Features of one resolution to those of the next."""
        y = self.norm1(self.conv1(x)).relu_()
        return self.norm2(self.conv2(y)).add_(self.shortcut(x)).relu_()


class Network(nn.Module):
    """Log-mel features (B, T, M) to logits (B, K)."""

    def __init__(self, classes: int, config: Config) -> None:
        super().__init__()
        channels = [max(int(config.width * each), 1) for each in CHANNELS]
        self.front = Front(config.front) if config.front else None
        entering, kernel = (config.front * BANDS // 2, 1) if config.front else (BANDS, 3)
        self.stem = over_time(entering, channels[0], kernel)
        self.norm = nn.BatchNorm2d(channels[0])
        blocks = []
        for (entering, leaving), stride in zip(pairwise(channels), (1 if config.front else 2, 2, 2), strict=True):
            blocks.append(Block(entering, leaving, config.kernel, stride))
            if config.depth == 14:
                blocks.append(Block(leaving, leaving, config.kernel, stride=1))
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(channels[-1], classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, M) to logits (B, K)."""
        x = self.front(features) if self.front else features
        x = self.norm(self.stem(x.transpose(1, 2).unsqueeze(2))).relu_()
        return self.fc(self.dropout(self.blocks(x).mean((2, 3))))
