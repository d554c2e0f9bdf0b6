"""Exchanging: other clips take the places of a share of a minibatch, so that an epoch stays as long as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor


class Pool(NamedTuple):
    """Features (N, T, M) and labels (N,) of clips that are trained on besides those of the data set."""

    features: Tensor
    labels: Tensor


def exchanged(features: Tensor, labels: Tensor, pool: Pool, share: float) -> tuple[Tensor, Tensor]:
    """Features (B, T, M) and labels (B,), a share of which are those of clips drawn from a pool."""
    batch, device = len(features), features.device
    chosen = (torch.rand(batch) < share).nonzero().squeeze(1)
    which = torch.randint(len(pool.features), (len(chosen),)).to(device)
    chosen = chosen.to(device)
    return (
        features.index_copy(0, chosen, pool.features.index_select(0, which)),
        labels.index_copy(0, chosen, pool.labels.index_select(0, which)),
    )
