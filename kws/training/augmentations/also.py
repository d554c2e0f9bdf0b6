"""Also: clips of a folder are trained on as "other" besides those of the data set.

They take the places of a share of each minibatch, so that an epoch stays as long as it was, and are then augmented as
all others. See kws.speech.also.
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

ORDER = -2


def _place(field: str, value: str) -> None:
    if not value.strip():
        raise RecipeError(f"`{field}` (={value!r}) must be none, or a folder of clips")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which clips, and how often."""

    also: str = option(
        "none",
        "A folder of further clips of what is no keyword, such as `kws mine` writes, that are trained on as 'other'.",
        check=_place,
        absent="none",
        metavar="none|FOLDER",
    )
    also_share: float = option(0.1, "The share of a minibatch's clips that they are.", check=share, absent=0.1)


def prepare(config: Config, recipe: Recipe, loaded: Dataset) -> Pool | None:
    """The clips. Raises DataError where there are none, and for clips that must not be trained on."""
    if config.also == "none":
        return None
    import torch

    from kws.speech import also
    from kws.training import augmenting
    from kws.training.exchanging import Pool

    augmenting.scale(loaded, "also", config.also)
    other = augmenting.other(loaded, "also", config.also)
    features = also.features(config.also, loaded, recipe.leave_out or (), recipe.align).to(recipe.device)
    return Pool(features, torch.full((len(features),), other, device=recipe.device))


def exchange(features: Tensor, labels: Tensor, config: Config, pool: Pool | None = None) -> tuple[Tensor, Tensor]:
    """Features (B, T, M) and labels (B,), a share of which are those of further clips; themselves without any."""
    if config.also == "none":
        return features, labels
    from kws.training.exchanging import exchanged

    assert pool, "prepare() comes first"
    return exchanged(features, labels, pool, config.also_share)
