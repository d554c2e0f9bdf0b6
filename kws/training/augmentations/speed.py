"""Speed: each clip is played faster or slower about its middle, so that its pitch rises or falls as well.

Frames are interpolated in time, and their bands on the mel scale, both linearly and after the logarithm. Beside
features of waveforms that were resampled (600 clips of Speech Commands, soxr, bands below the highest frequency that is
left) the root mean square of the error is, in standard deviations of the features:

    speed                      0.8    0.9    1.1    1.2
    time and bands             0.096  0.086  0.078  0.102
    time alone                 0.399  0.264  0.244  0.347
    before the logarithm       0.172  0.133  0.115  0.139   (all bands)
    left as they were          0.593  0.398  0.371  0.531   (all bands)

So bands are moved as well. A clip that is played slower has nothing above 8 kHz times its speed; its highest bands are
filled with the last that there is, since a network could tell by their silence what was done to a clip (with them the
error is 0.170 at 0.8 and 0.121 at 0.9). What comes in at the ends of a faster clip is its own quietest frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import below_one, option

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset

ORDER = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """By how much."""

    speed_change: float = option(
        0.0,
        "The most by which clips are played faster or slower at random: 0.1 is 0.9 to 1.1 times as fast.",
        check=below_one,
        absent=0.0,
    )


def prepare(config: Config, _: Recipe, loaded: Dataset) -> None:
    """Raise DataError for features whose bands are not known."""
    from kws.training.augmenting import scale

    if config.speed_change:
        scale(loaded, "speed_change", config.speed_change)


def augment(features: Tensor, config: Config, _: None = None) -> Tensor:
    """Features (B, T, M) of each clip at a speed of 1 +- speed_change, uniformly; themselves where that is 0."""
    if not config.speed_change:
        return features
    import torch

    speeds = 1 + config.speed_change * (2 * torch.rand(len(features)) - 1)
    return at_speeds(features, speeds.to(features.device))


def at_speeds(features: Tensor, speeds: Tensor) -> Tensor:
    """Features (B, T, M) of clips that are played at these speeds (B,)."""
    import torch

    from kws.speech.features import band_places
    from kws.training.frames import interpolated, interpolated_bands

    middle = (features.shape[1] - 1) / 2
    times = (torch.arange(features.shape[1], device=features.device) - middle) * speeds.unsqueeze(1) + middle
    return interpolated_bands(interpolated(features, times), band_places(1 / speeds))
