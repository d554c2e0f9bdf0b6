"""The newer networks as a plain PyTorch loop has them: torch.nn's modules on contiguous tensors, and nothing else.

They have the parameters of kws's networks, under the same names, and compute the same functions. The report's networks
are in peers_torch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers_torch import BANDS, CLASSES

_SUB_BANDS = 5


def network(arch: str) -> Any:
    """A new one with kws's default options, which takes features (B, T, M)."""
    return {"gru": GRU, "tc_resnet": TCResNet, "ds_cnn": DSCNN, "bc_resnet": BCResNet}[arch]()


class GRU(nn.Module):
    """Two recurrent layers and three linear ones."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(BANDS, 64, num_layers=2, batch_first=True)
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K)."""
        x, _ = self.gru(features)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x[:, -1])))))


class _TCBlock(nn.Module):
    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(entering, leaving, 9, 2, 4, bias=False)
        self.norm1 = nn.BatchNorm1d(leaving)
        self.conv2 = nn.Conv1d(leaving, leaving, 9, 1, 4, bias=False)
        self.norm2 = nn.BatchNorm1d(leaving)
        shortcut = nn.Conv1d(entering, leaving, 1, 2, bias=False)
        self.shortcut = nn.Sequential(shortcut, nn.BatchNorm1d(leaving), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class TCResNet(nn.Module):
    """TC-ResNet8, in one-dimensional convolutions."""

    def __init__(self) -> None:
        super().__init__()
        channels = (16, 24, 32, 48)
        self.stem = nn.Conv1d(BANDS, channels[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(channels[0])
        self.blocks = nn.Sequential(*(_TCBlock(a, b) for a, b in pairwise(channels)))
        self.fc = nn.Linear(channels[-1], CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K)."""
        x = torch.relu(self.norm(self.stem(features.transpose(1, 2))))
        return self.fc(self.blocks(x).mean(2))


class DSCNN(nn.Module):
    """DS-CNN of 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Conv2d(1, 64, (10, 4), stride=2, padding=(5, 1), bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(64), nn.ReLU(), nn.Dropout(0.2))
        self.blocks = nn.Sequential(*(self._block() for _ in range(4)))
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(64, CLASSES)

    @staticmethod
    def _block() -> nn.Module:
        depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        pointwise = nn.Conv2d(64, 64, 1, bias=False)
        return nn.Sequential(depthwise, nn.BatchNorm2d(64), nn.ReLU(), pointwise, nn.BatchNorm2d(64), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K)."""
        return self.fc(self.dropout(self.blocks(self.stem(features.unsqueeze(1)))).mean((2, 3)))


class _SubSpectralNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        batch, channels, bands, frames = x.shape
        grouped = x.reshape(batch, channels * _SUB_BANDS, bands // _SUB_BANDS, frames)
        return super().forward(grouped).reshape(x.shape)


class _BCBlock(nn.Module):
    def __init__(self, entering: int, leaving: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.changes = entering != leaving
        change = nn.Conv2d(entering, leaving, 1, bias=False), nn.BatchNorm2d(leaving), nn.ReLU()
        self.expand = nn.Sequential(*change) if self.changes else nn.Identity()
        self.over_bands = nn.Conv2d(leaving, leaving, (3, 1), (stride, 1), (1, 0), groups=leaving, bias=False)
        self.norm = _SubSpectralNorm(leaving * _SUB_BANDS)
        self.over_time = nn.Sequential(
            nn.Conv2d(leaving, leaving, (1, 3), 1, (0, dilation), (1, dilation), groups=leaving, bias=False),
            nn.BatchNorm2d(leaving),
            nn.SiLU(),
            nn.Conv2d(leaving, leaving, 1, bias=False),
            nn.Dropout2d(0.1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.over_bands(self.expand(x)))
        y = y + self.over_time(y.mean(2, keepdim=True))
        return torch.relu(y if self.changes else y + x)


class BCResNet(nn.Module):
    """BC-ResNet-1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 5, (2, 1), 2, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        blocks, entering = [], 16
        for stage, (leaving, depth) in enumerate(((8, 2), (12, 2), (16, 4), (20, 4))):
            for number in range(depth):
                stride = 2 if number == 0 and stage in (1, 2) else 1
                blocks.append(_BCBlock(entering, leaving, stride, 2**stage))
                entering = leaving
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Conv2d(20, 20, 5, padding=(0, 2), groups=20, bias=False),
            nn.Conv2d(20, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )
        self.last = nn.Sequential(nn.Conv2d(32, CLASSES, 1), nn.Flatten())

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K)."""
        x = self.blocks(self.stem(features.transpose(1, 2).unsqueeze(1)))
        return self.last(self.head(x).mean((2, 3), keepdim=True))
