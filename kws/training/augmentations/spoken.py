"""Spoken: synthetic speech of near misses, of common words and of the keywords is trained on besides the data's clips.

It takes the places of a share of each minibatch, so that an epoch stays as long as it was, and is then augmented as all
other clips. See kws.speech.spoken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import RecipeError
from kws.recipe import option, share

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset
    from kws.training.exchanging import Pool

ORDER = -3


def _known(field: str, value: str) -> None:
    if value.split("@")[0] not in ("none", "synthetic"):
        raise RecipeError(f"`{field}` (={value}) must be none or synthetic")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Whether, and how often."""

    spoken: str = option(
        "none",
        "Synthetic speech that is trained on: near misses of the keywords and common words as 'other', and the "
        "keywords; none of the words that are left out.",
        check=_known,
        absent="none",
        metavar="none|synthetic",
    )
    spoken_share: float = option(0.4, "The share of a minibatch's clips that it is.", check=share, absent=0.4)


def prepare(config: Config, recipe: Recipe, loaded: Dataset) -> Pool | None:
    """What is said. Raises DataError where eSpeak NG cannot be used, and for data without other words."""
    if config.spoken == "none":
        return None
    import torch

    from kws.speech import spoken
    from kws.training import augmenting
    from kws.training.exchanging import Pool

    augmenting.scale(loaded, "spoken", config.spoken)
    other = augmenting.other(loaded, "spoken", config.spoken)
    features, keywords = spoken.features(config.spoken, recipe.task)
    classes = loaded.card.classes
    labels = torch.tensor([other if each is None else classes.index(each) for each in keywords])
    features = (features - loaded.card.mean) / loaded.card.std
    return Pool(features.to(recipe.device), labels.to(recipe.device))


def exchange(features: Tensor, labels: Tensor, config: Config, pool: Pool | None = None) -> tuple[Tensor, Tensor]:
    """Features (B, T, M) and labels (B,), a share of which are those of synthetic speech; themselves without any."""
    if config.spoken == "none":
        return features, labels
    from kws.training.exchanging import exchanged

    assert pool, "prepare() comes first"
    return exchanged(features, labels, pool, config.spoken_share)
