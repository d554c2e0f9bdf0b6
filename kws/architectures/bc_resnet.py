"""BC-ResNet: broadcasted residual learning (Kim et al., Interspeech 2021, arXiv:2106.04140).

Most of a block works on one value a frame, the mean over frequency, and is added to all bands by broadcasting. With
c = 8 tau: a stem of 5x5 to 2c with stride 2 over frequency, then stages of c, 1.5c, 2c and 2.5c channels with 2, 2, 4
and 4 blocks, whose convolutions over time are dilated by 1, 2, 4 and 8; stages 2 and 3 begin with stride 2 over
frequency. SubSpectralNorm (Chang et al., arXiv:2103.13620) normalises five groups of bands each by itself.

In fp32 on processors, training steps are computed by kws.architectures._broadcasting, which gives the same results as
the modules here; evaluation, other devices and bfloat16 use the modules.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from kws.architectures import _broadcasting, _steps
from kws.recipe import above_zero, below_one, option

ORDER = 6
BATCH_STATISTICS = True
GROUPS = 5  # of bands that are normalised together


@dataclass(frozen=True, kw_only=True)
class Config:
    """BC-ResNet-tau."""

    tau: float = option(1.0, "Factor on the channels.", check=above_zero)
    channel_dropout: float = option(0.1, "Share of channels that are dropped in training.", check=below_one)


class SubSpectralNorm(nn.BatchNorm2d):
    """Batch normalisation of each of five groups of bands; (B, C, F, T) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels * GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised features."""
        batch, channels, bands, frames = x.shape
        grouped = x.reshape(batch, channels * GROUPS, bands // GROUPS, frames)
        return super().forward(grouped).reshape(batch, channels, bands, frames)


class Block(nn.Module):
    """A broadcasted residual block; (B, C, F, T) to (B, C', F / stride, T)."""

    def __init__(self, entering: int, leaving: int, *, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.changes = entering != leaving
        self.expand = (
            nn.Sequential(nn.Conv2d(entering, leaving, 1, bias=False), nn.BatchNorm2d(leaving), nn.ReLU())
            if self.changes
            else nn.Identity()
        )
        self.over_bands = nn.Conv2d(leaving, leaving, (3, 1), (stride, 1), (1, 0), groups=leaving, bias=False)
        self.norm = SubSpectralNorm(leaving)
        self.over_time = nn.Sequential(
            nn.Conv2d(leaving, leaving, (1, 3), 1, (0, dilation), (1, dilation), groups=leaving, bias=False),
            nn.BatchNorm2d(leaving),
            nn.SiLU(),
            nn.Conv2d(leaving, leaving, 1, bias=False),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of one block to those of the next."""
        y = self.norm(self.over_bands(self.expand(x)))
        y = y + self.over_time(y.mean(2, keepdim=True))
        return F.relu(y if self.changes else y + x)


class Network(nn.Module):
    """Log-mel features (B, T, M) to logits (B, K)."""

    def __init__(self, classes: int, config: Config) -> None:
        super().__init__()
        c = 8 * config.tau
        channels = [max(int(factor * c), 1) for factor in (2, 1, 1.5, 2, 2.5)]
        stem = nn.Conv2d(1, channels[0], 5, stride=(2, 1), padding=2, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(channels[0]), nn.ReLU())
        blocks = []
        for stage, depth in enumerate((2, 2, 4, 4)):
            for i in range(depth):
                entering = channels[stage] if i == 0 else channels[stage + 1]
                stride = 2 if i == 0 and stage in (1, 2) else 1
                about = {"stride": stride, "dilation": 2**stage, "dropout": config.channel_dropout}
                blocks.append(Block(entering, channels[stage + 1], **about))
        self.blocks = nn.Sequential(*blocks)
        last, wide = channels[-1], max(int(4 * c), 1)
        self.head = nn.Sequential(
            nn.Conv2d(last, last, 5, padding=(0, 2), groups=last, bias=False),
            nn.Conv2d(last, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        )
        self.last = nn.Sequential(nn.Conv2d(wide, classes, 1), nn.Flatten())

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, M) to logits (B, K)."""
        if self.training and _steps.takes(features):
            return _broadcasting.logits(features, self.stem, self.blocks, self.head, self.last)
        x = self.blocks(self.stem(features.transpose(1, 2).unsqueeze(1)))
        return self.last(self.head(x).mean((2, 3), keepdim=True))
