"""What this machine does: training speed of a network, and the share of what its processor could.

Operations are counted as two a multiply-accumulate. A training step takes three times those of classifying: forward,
the gradient of the weights, and the gradient of the input, which the first layer does not need.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from kws import architectures, layers, optimizers, training
from kws.recipe import Recipe
from kws.speech.dataset import Split

_CLASSES = 3
_LONG_SECONDS = 0.5
_PEAK_SIZE = 1024  # of the square matrices whose product is the peak


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Training speed in one precision; `peak_gflops` is what a product of large matrices reaches in it."""

    precision: str
    clips_per_second: float
    gflops: float  # 1e9 operations a second
    peak_gflops: float

    @property
    def share(self) -> float:
        """The part of the peak that training reaches."""
        return self.gflops / self.peak_gflops


def measure(recipe: Recipe, *, clips: int = 1024, repeats: int = 5) -> Speed:
    """The speed of training steps by this recipe on random clips, beside what the processor could."""
    speed = clips_per_second(recipe, clips=clips, repeats=repeats)
    return Speed(
        precision=recipe.precision,
        clips_per_second=speed,
        gflops=operations(recipe) * speed / 1e9,
        peak_gflops=peak_gflops(recipe),
    )


def clips_per_second(recipe: Recipe, *, clips: int = 1024, repeats: int = 5) -> float:
    """The speed of training steps by this recipe on random clips: the median of `repeats`, after one to warm up.

    Sets threads and seed as training does.
    """
    training.set_up(recipe)
    model = architectures.build(recipe.arch, classes=_CLASSES, maps=recipe.maps).to(recipe.device)
    optimizer = optimizers.build(recipe.opt, model.parameters(), **recipe.hyperparameters())
    features = torch.randn(clips, architectures.FRAMES, architectures.BANDS, device=recipe.device)
    split = Split(features, torch.arange(clips, device=recipe.device) % _CLASSES)
    batch = torch.randperm(clips).to(recipe.device)
    return clips / _median(lambda: training.step(model, optimizer, split, batch, recipe), repeats)


def operations(recipe: Recipe) -> int:
    """Operations of training on one clip."""
    network = layers.describe(recipe.arch, classes=_CLASSES, maps=recipe.maps)
    return 2 * (3 * network.multiply_accumulates - network.layers[0].multiply_accumulates)


def peak_gflops(recipe: Recipe) -> float:
    """What a product of two matrices of 1,024 x 1,024 reaches, in 1e9 operations a second."""
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    left, right, out = (torch.randn(_PEAK_SIZE, _PEAK_SIZE, device=recipe.device).to(dtype) for _ in range(3))
    seconds = _median(lambda: torch.mm(left, right, out=out), 30)
    return 2 * _PEAK_SIZE**3 / seconds / 1e9


def verdict(recipe: Recipe) -> str:
    """A sentence on whether the recipe's precision pays here, from a short probe of it and of fp32."""
    slice_size = architectures.slice_size(recipe.arch, recipe.batch_size, device=recipe.device)
    plain_recipe = replace(recipe, precision=Recipe.precision, slice_size=slice_size)
    asked, plain = (measure(each, clips=256, repeats=3) for each in (recipe, plain_recipe))
    ratio = asked.clips_per_second / plain.clips_per_second
    advice = "" if ratio > 1 else "; --precision fp32 would be faster"
    return f"{recipe.precision} trains {ratio:.2f} times as fast as fp32 on this processor{advice}"


def _median(work: Callable[[], object], repeats: int) -> float:
    """The median of the seconds that `work` takes, once warm.

    What takes long, as bfloat16 does where the processor has none, is not waited for again and again.
    """
    first = _timed(work)
    if first > _LONG_SECONDS:
        return first
    return statistics.median(_timed(work) for _ in range(repeats))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
