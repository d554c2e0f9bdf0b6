"""Gain: each clip is made louder or softer by a drawn number of decibels.

This is exact: a gain multiplies power, so features are taken back to power + offset, and become log(g (p + o) + o (1 -
g)). A constant added to the features would not do, since the offset is more than the power of a third of the clips'
cells: beside features of scaled waveforms it has a root mean square error of 0.19 and 0.22 standard deviations of the
features at 6 and -6 dB, 0.29 and 0.38 at 10 and -10 dB (600 clips of Speech Commands); this has 0.000001. Waveforms are
not clipped at full scale, as a loud one would be in a file of 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import RecipeError
from kws.recipe import option

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset
    from kws.training.augmenting import Scale

ORDER = 4


def _decibels(field: str, value: float) -> None:
    if not 0 <= value <= 60:
        raise RecipeError(f"`{field}` (={value}) must be from 0 to 60 dB")


@dataclass(frozen=True, kw_only=True)
class Config:
    """By how much."""

    gain_db: float = option(
        0.0, "The most decibels by which clips are made louder or softer at random.", check=_decibels, absent=0.0
    )


def prepare(config: Config, _: Recipe, loaded: Dataset) -> Scale | None:
    """The scale of the features. Raises DataError where it is not known."""
    from kws.training.augmenting import scale

    return scale(loaded, "gain_db", config.gain_db) if config.gain_db else None


def augment(features: Tensor, config: Config, scale: Scale | None = None) -> Tensor:
    """Features (B, T, M) with gains of up to so many decibels either way, uniformly; themselves where that is 0."""
    if not config.gain_db:
        return features
    import torch

    decibels = config.gain_db * (2 * torch.rand(len(features)) - 1)
    return amplified(features, decibels.to(features.device), scale)


def amplified(features: Tensor, decibels: Tensor, scale: Scale | None) -> Tensor:
    """Features (B, T, M) of clips whose power is raised by so many decibels (B,)."""
    assert scale, "prepare() comes first"
    factors = (10 ** (decibels / 10)).view(-1, 1, 1)
    power = scale.power(features).mul_(factors).add_(scale.offset * (1 - factors))
    return scale.features(power.clamp_(min=scale.offset))  # rounding could leave less
