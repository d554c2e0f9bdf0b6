"""Crossed: clips are joined of the first part of one word and the rest of another, which makes words never recorded.

A network that has to tell "no" from a few other words may listen to its vowel alone, and then takes "go" for it. Two
clips of a minibatch are drawn and joined where the same share of either word is over: the beginning of "left" with the
end of "no" is "other", and so is that of "no" with the end of "yes". Where both are of one class the joint is of that
class, so that a joint alone tells nothing.

Where a word is, kws.training.frames says. Clips are blended over 3 frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import below_one, option

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset

ORDER = -1
_BLENDED = 3  # frames
_SHARES = 0.3, 0.7  # of the words that are over where they are joined


@dataclass(frozen=True, kw_only=True)
class Config:
    """How often."""

    crossed_share: float = option(
        0.0,
        "The share of a minibatch's clips that are joined of two others: of 'other' where those are of two classes.",
        check=below_one,
        absent=0.0,
    )


def prepare(config: Config, _: Recipe, loaded: Dataset) -> int | None:
    """The label of "other". Raises DataError for data without such a class."""
    if not config.crossed_share:
        return None
    from kws.training import augmenting

    return augmenting.other(loaded, "crossed_share", config.crossed_share)


def exchange(features: Tensor, labels: Tensor, config: Config, other: int | None = None) -> tuple[Tensor, Tensor]:
    """Features (B, T, M) and labels (B,), a share of which are joined clips; themselves where that is 0."""
    if not config.crossed_share:
        return features, labels
    import torch

    assert other is not None, "prepare() comes first"
    batch, device = len(features), features.device
    chosen = (torch.rand(batch) < config.crossed_share).nonzero().squeeze(1).to(device)
    first, then = (torch.randint(batch, (len(chosen),)).to(device) for _ in range(2))
    low, high = _SHARES
    over = (low + (high - low) * torch.rand(len(chosen))).to(device)
    both = joined(features, first, then, over)
    of_both = labels[first].where(labels[first] == labels[then], other)
    return features.index_copy(0, chosen, both), labels.index_copy(0, chosen, of_both)


def joined(features: Tensor, first: Tensor, then: Tensor, over: Tensor) -> Tensor:
    """Clips (N, T, M): those at `first` (N,) until a share (N,) of the word is over, then the rest of `then`."""
    import torch

    from kws.training.frames import taken, word_ends

    begin, end = word_ends(features)
    length = (end - begin).float()
    until = (begin[first] + over * length[first]).round()
    since = (begin[then] + over * length[then]).round()
    frames = torch.arange(features.shape[1], device=features.device)
    later = taken(features[then], (frames - (until - since).unsqueeze(1)).long())
    weights = ((frames - until.unsqueeze(1)) / _BLENDED + 0.5).clamp(0, 1).unsqueeze(2)
    return torch.lerp(features[first], later, weights)
