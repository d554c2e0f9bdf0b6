"""Noise: background noise is mixed with a share of the clips, at a drawn signal-to-noise ratio.

The recordings are those of kws.speech.noise: the data set's, a folder's or made-up ones, without the two that nothing
is trained on, `exercise_bike` and `pink_noise`. For each clip a second of them is drawn, each second alike, and scaled
so that the clip's mean power over that of the noise is the ratio that was drawn.

Noise is mixed as mel power, before the logarithm, and not as waveforms: features are computed once and cached, and a
minibatch is then mixed at once as tensors. The powers of two sounds add up but for a cross term, which is 0 on average.
Beside features of waveforms that were mixed (600 clips of Speech Commands, its recordings of noise) the root mean
square of the error is, in standard deviations of the features:

    signal-to-noise ratio in dB       -5     0      5      10     20     30
    error                             0.074  0.074  0.073  0.073  0.070  0.062
    of which the cross term           0.056  0.058  0.060  0.063  0.066  0.059
    what the noise changes            1.96   1.70   1.45   1.21   0.77   0.42

Its mean is below 0.007. The rest is the ratio itself, which mel power has from 20 Hz on, and over frames that are
windowed: it is within 0.5 dB of the waveforms' for nine clips in ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kws.errors import RecipeError
from kws.recipe import option

if TYPE_CHECKING:
    from torch import Tensor

    from kws.recipe import Recipe
    from kws.speech.dataset import Dataset
    from kws.speech.noise_power import NoisePower
    from kws.training.augmenting import Scale

ORDER = 3


def _place(field: str, value: str) -> None:
    if not value.strip():
        raise RecipeError(f"`{field}` (={value!r}) must be none, dataset, builtin, or a folder of recordings of noise")


def _ratios(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.replace(":", ",").split(","))
    except ValueError:
        raise RecipeError(f"`noise_snr` (={text!r}) must be two numbers of dB, as in --noise-snr 0,20") from None


def _range(field: str, value: tuple[float, ...]) -> None:
    told = ",".join(f"{each:g}" for each in value)
    if len(value) != 2 or not -100 <= value[0] <= value[1] <= 100:
        raise RecipeError(f"`{field}` (={told}) must be the least dB and the most, from -100 to 100, as in 0,20")


def _share(field: str, value: float) -> None:
    if not 0 < value <= 1:
        raise RecipeError(f"`{field}` (={value}) must be above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which noise, how loud and how often."""

    noise: str = option(
        "none",
        "Noise that clips are mixed with at random: `dataset` for the recordings in the data set's folder "
        "_background_noise_, a folder of others (exercise_bike and pink_noise are never among them), or `builtin`: "
        "three minutes that are made up, of white and brown noise, wind, hum, clatter and a murmur of voices.",
        check=_place,
        absent="none",
        metavar="none|dataset|builtin|FOLDER",
    )
    noise_snr: tuple[float, ...] = option(
        (0.0, 20.0),
        "The least and the most dB by which a clip is louder than its noise.",
        read=_ratios,
        check=_range,
        absent=(0.0, 20.0),
        metavar="DB,DB",
    )
    noise_share: float = option(0.8, "The share of clips that get noise.", check=_share, absent=0.8)


class Prepared(NamedTuple):
    """The scale of the features and the noise."""

    scale: Scale
    noise: NoisePower


def prepare(config: Config, recipe: Recipe, loaded: Dataset) -> Prepared | None:
    """The noise. Raises DataError where there is none, where it is not that of the recipe, and for arrays."""
    if config.noise == "none":
        return None
    from kws.events import TRAIN
    from kws.speech import noise_power
    from kws.training.augmenting import scale

    of_features = scale(loaded, "noise", config.noise)
    noise = noise_power.load(config.noise, recipe.data, loaded.splits[TRAIN].features.shape[1])
    return Prepared(of_features, noise.to(recipe.device))


def augment(features: Tensor, config: Config, prepared: Prepared | None = None) -> Tensor:
    """Features (B, T, M), a share of which is mixed with noise; themselves without any."""
    if config.noise == "none":
        return features
    import torch

    assert prepared, "prepare() comes first"
    batch, device = len(features), features.device
    low, high = config.noise_snr
    chosen = torch.rand(batch) < config.noise_share
    seconds = torch.randint(len(prepared.noise.starts), (batch,))[chosen].to(device)
    ratios = (low + (high - low) * torch.rand(batch))[chosen].to(device)
    which = chosen.nonzero().squeeze(1).to(device)
    mixed_ones = mixed(features.index_select(0, which), seconds, ratios, prepared)
    return features.index_copy(0, which, mixed_ones)


def mixed(features: Tensor, seconds: Tensor, ratios: Tensor, prepared: Prepared) -> Tensor:
    """Features (B, T, M) of clips, mixed with seconds of the noise (B,), at these signal-to-noise ratios (B,) in dB."""
    import torch

    from kws.speech.noise_power import mean_power

    scale, noise = prepared
    power = scale.power(features)
    silence = mean_power(torch.full((1, *features.shape[1:]), scale.offset, device=features.device))
    loudness = (mean_power(power) - silence).clamp(min=0)
    factors = loudness / noise.power[seconds] * 10 ** (-ratios / 10)
    return scale.features(power.addcmul_(noise.seconds(seconds, features.shape[1]), factors.view(-1, 1, 1)))
