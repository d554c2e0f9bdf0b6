"""Also: clips of a folder are trained on as "other" besides those of the data set.

They take the places of a share of each minibatch, so that an epoch stays as long as it was, and are then augmented as
all others. See kws.speech.also.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kws.errors import RecipeError
from kws.recipe import option, share

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset

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


class Prepared(NamedTuple):
    """Features (N, T, M) of the clips, and the label of "other"."""

    features: Tensor
    other: int


def prepare(config: Config, recipe: Recipe, loaded: Dataset) -> Prepared | None:
    """The clips. Raises DataError where there are none, and for clips that must not be trained on."""
    if config.also == "none":
        return None
    from kws.speech import also
    from kws.training import augmenting

    augmenting.scale(loaded, "also", config.also)
    other = augmenting.other(loaded, "also", config.also)
    return Prepared(also.features(config.also, loaded, recipe.leave_out or ()).to(recipe.device), other)


def exchange(
    features: Tensor, labels: Tensor, config: Config, prepared: Prepared | None = None
) -> tuple[Tensor, Tensor]:
    """Features (B, T, M) and labels (B,), a share of which are those of further clips; themselves without any."""
    if config.also == "none":
        return features, labels
    import torch

    assert prepared, "prepare() comes first"
    batch, device = len(features), features.device
    chosen = (torch.rand(batch) < config.also_share).nonzero().squeeze(1)
    which = torch.randint(len(prepared.features), (len(chosen),)).to(device)
    chosen = chosen.to(device)
    return (
        features.index_copy(0, chosen, prepared.features.index_select(0, which)),
        labels.index_fill(0, chosen, prepared.other),
    )
