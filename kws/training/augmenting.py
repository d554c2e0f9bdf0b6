"""What augmentations know of the data set, made before the first step, and given to each.

An augmentation's file may have `prepare(config, recipe, loaded)`, whose result its `augment(features, config, result)`
gets as a third argument. Nothing of it is kept in a checkpoint: a training that is gone on with makes it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from kws.errors import DataError
from kws.events import OTHER, UNKNOWN
from kws.recipe import Recipe, plain
from kws.recipe.parts import AUGMENTATION

if TYPE_CHECKING:
    from torch import Tensor

    from kws.speech.dataset import Dataset


@dataclass(frozen=True)
class Scale:
    """How features were made of mel power: (log(power + offset) - mean) / std."""

    mean: float
    std: float
    offset: float

    def power(self, features: Tensor) -> Tensor:
        """Mel power + offset of features, in a new tensor of the same shape."""
        return torch.add(torch.tensor(self.mean), features, alpha=self.std).exp_()

    def features(self, power: Tensor) -> Tensor:
        """Features of mel power + offset, in place."""
        return torch.add(torch.tensor(-self.mean / self.std), power.log_(), alpha=1 / self.std, out=power)


def prepared(recipe: Recipe, loaded: Dataset) -> dict[str, tuple[Any]]:
    """What each augmentation that prepares anything made of the data set, by its name, as its further argument.

    Raises DataError for a data set that an augmentation cannot work on.
    """
    found: dict[str, tuple[Any]] = {}
    for config in recipe.augmentation:
        module: Any = AUGMENTATION.part(config.NAME).load()
        if hasattr(module, "prepare"):
            found[config.NAME] = (module.prepare(config, recipe, loaded),)
    return found


def without_data(recipe: Recipe) -> Recipe:
    """The recipe with those augmentations alone that work on any features, as steps on random clips need it."""
    kept = (each for each in recipe.augmentation if not hasattr(AUGMENTATION.part(each.NAME).load(), "prepare"))
    return replace(recipe, augmentation=tuple(kept))


def scale(loaded: Dataset, option: str, value: Any) -> Scale:
    """The scale of a data set's features, for the option that needs it.

    Raises DataError for arrays, of which nobody knows how they were made of sound.
    """
    card = loaded.card
    if not card.front_end:
        raise DataError(
            f"`{option}` (={plain(value)}) needs features that kws made of recordings, and {card.source} holds arrays; "
            f"leave --{option.replace('_', '-')} out, or give --data a folder of recordings"
        )
    return Scale(card.mean, card.std, card.front_end["offset"])


def other(loaded: Dataset, option: str, value: Any) -> int:
    """The label of what is no keyword, for the option that needs it. Raises DataError for data without such a class."""
    classes = loaded.card.classes
    for name in (OTHER, UNKNOWN):
        if name in classes:
            return classes.index(name)
    raise DataError(
        f"`{option}` (={plain(value)}) needs a class of other words, and {loaded.card.source} has "
        f"{', '.join(classes)}; leave --{option.replace('_', '-')} out"
    )
