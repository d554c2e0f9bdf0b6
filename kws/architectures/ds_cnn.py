"""DS-CNN: depthwise separable convolutions (Zhang et al., arXiv:1711.07128), as MLPerf Tiny has them.

A convolution of 10x4 to 64 channels with stride 2, then four times a depthwise convolution of 3x3 and a pointwise one,
each with batch normalisation and ReLU; dropout, the mean over time and frequency, a linear layer. Where it differs from
MLPerf Tiny: log-mel features of 101 x 40 in place of MFCC of 49 x 10.

In fp32 on processors, training steps are computed by kws.architectures._separable, which gives the same results as the
modules here; evaluation, other devices and bfloat16 use the modules.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kws.architectures import _separable, _steps
from kws.errors import RecipeError
from kws.recipe import count, option

ORDER = 5
BATCH_STATISTICS = True
STEM_DROPOUT, DROPOUT = 0.2, 0.4


def up_to_1024(field: str, filters: int) -> None:
    """Raise RecipeError for a number of filters below 1 or above 1,024."""
    count(field, filters)
    if filters > 1024:
        raise RecipeError(f"`{field}` (={filters}) must be at most 1,024")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The small one of the paper has 64 filters, the medium one 172."""

    filters: int = option(64, "Channels of every convolution.", check=up_to_1024)


class Network(nn.Module):
    """Log-mel features (B, T, M) to logits (B, K)."""

    def __init__(self, classes: int, config: Config) -> None:
        super().__init__()
        filters = config.filters
        stem = nn.Conv2d(1, filters, (10, 4), stride=2, padding=(5, 1), bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(filters), nn.ReLU(), nn.Dropout(STEM_DROPOUT))
        self.blocks = nn.Sequential(*(self._block(filters) for _ in range(4)))
        self.dropout = nn.Dropout(DROPOUT)
        self.fc = nn.Linear(filters, classes)

    @staticmethod
    def _block(filters: int) -> nn.Module:
        depthwise = nn.Conv2d(filters, filters, 3, padding=1, groups=filters, bias=False)
        pointwise = nn.Conv2d(filters, filters, 1, bias=False)
        norms = nn.BatchNorm2d(filters), nn.BatchNorm2d(filters)
        return nn.Sequential(depthwise, norms[0], nn.ReLU(), pointwise, norms[1], nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, M) to logits (B, K)."""
        if self.training and _steps.takes(features):
            return self.fc(_separable.means(features, self.stem, self.blocks, self.dropout))
        # PyTorch computes these convolutions twice as fast where a position's channels lie side by side.
        x = self.stem(features.unsqueeze(1)).contiguous(memory_format=torch.channels_last)
        return self.fc(self.dropout(self.blocks(x)).mean((2, 3)))
