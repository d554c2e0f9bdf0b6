"""Truncated: a keyword without its beginning or its end is "other", so that a network learns to want the whole word.

A network that has to tell "no" from a few other words may listen to its vowel alone, and then takes "go" for it. Of
some keywords' clips the first or last part of the word gives way to the quiet beside it; what is left is no keyword.

Where a word is, kws.training.frames says. The quiet is that before the word or that after it, whichever is longer,
again and again; clips with hardly any stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kws.recipe import below_one, option

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset

ORDER = -1
_BEGINNINGS = 0.7  # the share of truncated words that lack their beginning
_BEGIN = 0.15, 0.45  # of the word that is then lacking
_END = 0.5, 0.8  # of the word that is lacking where its end is
_QUIET = 5  # least frames beside the word


class Labels(NamedTuple):
    """The labels of keywords, and that of "other"."""

    keywords: tuple[int, ...]
    other: int


@dataclass(frozen=True, kw_only=True)
class Config:
    """How often."""

    truncated_share: float = option(
        0.0,
        "The share of a minibatch's clips that are keywords without their beginning or end, which are 'other'.",
        check=below_one,
        absent=0.0,
    )


def prepare(config: Config, _: Recipe, loaded: Dataset) -> Labels | None:
    """The labels. Raises DataError for data without a class of other words."""
    if not config.truncated_share:
        return None
    from kws.events import keywords_of
    from kws.training import augmenting

    classes = loaded.card.classes
    other = augmenting.other(loaded, "truncated_share", config.truncated_share)
    return Labels(tuple(classes.index(name) for name in keywords_of(classes)), other)


def exchange(features: Tensor, labels: Tensor, config: Config, known: Labels | None = None) -> tuple[Tensor, Tensor]:
    """Features (B, T, M) and labels (B,), some keywords of which are truncated; themselves where the share is 0."""
    if not config.truncated_share:
        return features, labels
    import torch

    assert known, "prepare() comes first"
    device = labels.device
    spoken = torch.isin(labels, torch.tensor(known.keywords, device=device)).nonzero().squeeze(1).cpu()
    wanted = round(config.truncated_share * len(features))
    chosen = spoken[torch.randperm(len(spoken))[:wanted]]
    is_beginning, share = torch.rand(len(chosen)) < _BEGINNINGS, torch.rand(len(chosen))
    chosen, is_beginning, share = chosen.to(device), is_beginning.to(device), share.to(device)
    rest, is_truncated = without(features[chosen], is_beginning, share)
    chosen = chosen[is_truncated]
    return features.index_copy(0, chosen, rest[is_truncated]), labels.index_fill(0, chosen, known.other)


def without(features: Tensor, is_beginning: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Clips (N, T, M) without the beginning of the word, or without its end, and which (N,) had enough quiet for it.

    `share` (N,) from 0 to 1 is between the least and the most that may be lacking.
    """
    import torch

    from kws.training.frames import taken, word_ends

    frames = torch.arange(features.shape[1], device=features.device)
    begin, end = word_ends(features)
    length, before, after = end - begin, begin, features.shape[1] - end
    of_begin, of_end = (low + (high - low) * share for low, high in (_BEGIN, _END))
    lacking = of_begin.where(is_beginning, of_end) * length
    first = torch.where(is_beginning, begin + lacking, begin).long().unsqueeze(1)
    last = torch.where(is_beginning, end, end - lacking).long().unsqueeze(1)
    quiet = torch.where(
        (before >= after).unsqueeze(1),
        frames % before.clamp(min=1).unsqueeze(1),
        end.unsqueeze(1) + frames % after.clamp(min=1).unsqueeze(1),
    )
    places = torch.where((frames >= first) & (frames < last), frames, quiet)
    places = torch.where(is_beginning.unsqueeze(1) & (frames >= last), frames, places)
    places = torch.where(~is_beginning.unsqueeze(1) & (frames < first), frames, places)
    return taken(features, places), torch.maximum(before, after) >= _QUIET
