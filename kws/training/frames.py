"""Frames taken from other places in a clip, as when it is moved or stretched in time; rows of any kind, bands too."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def picked(features: Tensor, places: Tensor) -> Tensor:
    """Of features (B, T, M) those at whole places (B, N) along T; (B, N, M)."""
    batch, frames, bands = features.shape
    rows = places + torch.arange(0, batch * frames, frames, device=features.device).unsqueeze(1)
    # Whole rows of one long matrix: ten times as fast as gather(), which moves each number by itself.
    return features.flatten(0, 1).index_select(0, rows.flatten()).view(batch, -1, bands)


def taken(features: Tensor, places: Tensor) -> Tensor:
    """The same at any whole places: before a clip and after it is its quietest frame, that with the lowest mean."""
    quiet = features.mean(2).argmin(1, keepdim=True)
    return picked(features, places.where((places >= 0) & (places < features.shape[1]), quiet))


def interpolated(features: Tensor, places: Tensor, at: Callable[[Tensor, Tensor], Tensor] = taken) -> Tensor:
    """The same between frames, at places (B, N) that need not be whole, linearly."""
    before = places.floor()
    whole = before.long()
    both = at(features, torch.cat([whole, whole + 1], dim=1))
    number = places.shape[1]
    return both[:, :number].lerp(both[:, number:], (places - before).unsqueeze(2))
