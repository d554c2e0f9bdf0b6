"""SpecAugment: a mask over bands and one over frames of each clip (Park et al., arXiv:1904.08779), without warping.

Masked features are 0, the mean of the training split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import not_negative, option

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 2


@dataclass(frozen=True, kw_only=True)
class Config:
    """How large the masks may be."""

    mask_bands: int = option(0, "The most mel bands that are masked in a clip.", check=not_negative, absent=0)
    mask_frames: int = option(0, "The most frames of 10 ms that are masked in a clip.", check=not_negative, absent=0)


def augment(features: Tensor, config: Config) -> Tensor:
    """Features (B, T, M) with up to so many bands and frames set to 0, uniformly; themselves where both are 0."""
    for axis, most in ((2, config.mask_bands), (1, config.mask_frames)):
        if most:
            features = features.masked_fill(_mask(features, axis, most), 0.0)
    return features


def _mask(features: Tensor, axis: int, most: int) -> Tensor:
    """Which of each clip's features lie in its mask; (B, T, 1) or (B, 1, M)."""
    import torch

    batch, size = len(features), features.shape[axis]
    lengths = torch.randint(0, min(most, size) + 1, (batch, 1))
    starts = (torch.rand(batch, 1) * (size - lengths + 1)).long()
    places = torch.arange(size)
    inside = ((places >= starts) & (places < starts + lengths)).to(features.device)
    return inside.unsqueeze(1) if axis == 2 else inside.unsqueeze(2)
