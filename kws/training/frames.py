"""Frames taken from other places in a clip, as when it is moved or stretched in time; rows of any kind, bands too.

A clip's rows are moved whole, as rows of one long matrix, which is ten times as fast as moving each number by itself.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SMOOTHED = 5  # frames
_QUIET = 10
_LEVEL = 0.35


def taken(features: Tensor, places: Tensor) -> Tensor:
    """Of features (B, T, M) the frames at whole places (B, N), which are those of outside_quietest(): (B, N, M)."""
    rows = _rows(features, outside_quietest(features, places))
    return features.flatten(0, 1).index_select(0, rows.flatten()).view(*places.shape, -1)


def outside_quietest(features: Tensor, places: Tensor) -> Tensor:
    """Whole places (B, N); before a clip and after it that of its quietest frame, the one with the lowest mean."""
    quiet = features.mean(2).argmin(1, keepdim=True)
    return places.where((places >= 0) & (places < features.shape[1]), quiet)


def interpolated(features: Tensor, places: Tensor) -> Tensor:
    """Of features (B, T, M) the frames at places (B, N) between theirs, linearly; outside is outside_quietest()."""
    before = places.floor()
    whole, share = before.long(), places - before
    both = outside_quietest(features, torch.stack([whole, whole + 1], dim=2).flatten(1))
    weights = torch.stack([1 - share, share], dim=2)
    sums = F.embedding_bag(
        _rows(features, both).view(-1, 2), features.flatten(0, 1), mode="sum", per_sample_weights=weights.view(-1, 2)
    )
    return sums.view(*places.shape, -1)


def interpolated_bands(features: Tensor, places: Tensor) -> Tensor:
    """Of features (B, T, M) the bands at places (B, N) between theirs, linearly; outside is the first or last band.

    Each clip is multiplied by a small matrix (M, N), which takes a third of the time of moving bands as rows.
    """
    bands = features.shape[2]
    apart = places.clamp(0, bands - 1).unsqueeze(1) - torch.arange(bands, device=features.device).unsqueeze(1)
    return torch.bmm(features, (1 - apart.abs_()).clamp_(min=0))


def word_ends(features: Tensor) -> tuple[Tensor, Tensor]:
    """The frames (B,) in which the word of each clip (B, T, M) begins, and before which it ends.

    A word is where the mean over a clip's bands, smoothed over 5 frames, is more than 0.35 of the way from its quiet
    frames (the tenth quietest) to its loudest; a clip without such frames is a word as a whole.
    """
    level = features.mean(2).unsqueeze(1)
    level = F.avg_pool1d(level, _SMOOTHED, 1, _SMOOTHED // 2, count_include_pad=False).squeeze(1)
    quiet = level.kthvalue(min(_QUIET, level.shape[1]), 1, keepdim=True).values
    loud = level > quiet + _LEVEL * (level.amax(1, keepdim=True) - quiet)
    frames = torch.arange(level.shape[1], device=features.device)
    begin = torch.where(loud, frames, level.shape[1]).amin(1)
    end = torch.where(loud, frames, -1).amax(1) + 1
    silent = end <= begin
    return begin.masked_fill(silent, 0), end.masked_fill(silent, level.shape[1])


def _rows(features: Tensor, places: Tensor) -> Tensor:
    """Where the frames at places (B, N) are among the frames of all clips."""
    batch, frames = features.shape[:2]
    return places + torch.arange(0, batch * frames, frames, device=features.device).unsqueeze(1)
