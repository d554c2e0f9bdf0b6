"""Shift: each clip is moved in time, and what comes in is its own quietest frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import not_negative, option

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 2


@dataclass(frozen=True, kw_only=True)
class Config:
    """How far, in frames of 10 ms."""

    shift_frames: int = option(
        0, "The most frames of 10 ms by which clips are shifted at random.", check=not_negative, absent=0
    )


def augment(features: Tensor, config: Config) -> Tensor:
    """Features (B, T, M) moved by up to so many frames either way, uniformly; themselves where that is 0."""
    if not config.shift_frames:
        return features
    import torch

    from kws.training.frames import taken

    batch, frames, _ = features.shape
    most = min(config.shift_frames, frames - 1)
    offsets = torch.randint(-most, most + 1, (batch, 1)).to(features.device)
    return taken(features, torch.arange(frames, device=features.device) - offsets)
