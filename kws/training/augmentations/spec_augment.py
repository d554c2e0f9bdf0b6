"""SpecAugment: a mask over bands and one over frames of each clip (Park et al., arXiv:1904.08779), without warping.

Masked features are 0, the mean of the training split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import not_negative, option

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 5


@dataclass(frozen=True, kw_only=True)
class Config:
    """How large the masks may be."""

    mask_bands: int = option(0, "The most mel bands that are masked in a clip.", check=not_negative, absent=0)
    mask_frames: int = option(0, "The most frames of 10 ms that are masked in a clip.", check=not_negative, absent=0)


def augment(features: Tensor, config: Config) -> Tensor:
    """Features (B, T, M) with up to so many bands and frames set to 0, uniformly; themselves where both are 0."""
    kept = [_kept(features, axis, most) for axis, most in ((2, config.mask_bands), (1, config.mask_frames)) if most]
    if not kept:
        return features
    masked = features * kept[0]  # four times as fast as masked_fill()
    for each in kept[1:]:
        masked.mul_(each)
    return masked.add_(0.0)  # no negative zeros


def _kept(features: Tensor, axis: int, most: int) -> Tensor:
    """1 for each clip's features that lie outside its mask, else 0; (B, T, 1) or (B, 1, M)."""
    import torch

    batch, size = len(features), features.shape[axis]
    lengths = torch.randint(0, min(most, size) + 1, (batch, 1))
    starts = (torch.rand(batch, 1) * (size - lengths + 1)).long()
    places = torch.arange(size)
    outside = ((places < starts) | (places >= starts + lengths)).to(features.device, features.dtype)
    return outside.unsqueeze(1) if axis == 2 else outside.unsqueeze(2)
