"""Profiling: a network's training speed on this machine, and its share of the processor's peak.

A multiply-accumulate counts as two operations. A training step takes three times the operations of classifying: the
forward pass, the gradient of the weights, and the gradient of the input, which the first layer does not need.

The processor's peak is not known, only measured: it is the fastest of several matrix products, with as many threads as
training uses. If training is faster than all of them, the peak is at least what training reaches.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from kws import architectures
from kws.recipe import Recipe
from kws.speech.dataset import Split
from kws.training import augmenting, layers, loop

_CLASSES = 3
_LONG_SECONDS = 0.5
_PEAK_SIZES = (256, 512, 1024, 2048)  # of the square matrices whose products are tried
_PEAK_SECONDS = 0.3  # for one of them, after the warm-up
# The data types of a precision: bf16 keeps its weights in fp32, and computes in fp32 if there are no bf16 instructions.
_DTYPES = {"fp32": (torch.float32,), "bf16": (torch.bfloat16, torch.float32)}


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Training speed in one precision, and the highest speed that was measured in it.

    The peak is that of matrix products; if training itself was faster, `peak_is_lower_bound` is set.
    """

    precision: str
    clips_per_second: float
    gflops: float  # 1e9 operations a second
    peak_gflops: float
    peak_is_lower_bound: bool = False

    @property
    def share(self) -> float:
        """The fraction of the peak that training reaches, at most 1."""
        return self.gflops / self.peak_gflops


def measure(recipe: Recipe, *, clips: int = 1024, repeats: int = 5) -> Speed:
    """The speed of training steps by this recipe on random clips, and the processor's peak with as many threads."""
    speed = clips_per_second(recipe, clips=clips, repeats=repeats)
    return beside_peak(recipe, speed, peak_gflops(recipe.precision, device=recipe.device))


def beside_peak(recipe: Recipe, speed: float, products: float) -> Speed:
    """The Speed for `speed` in clips per second and `products` in 1e9 operations per second of matrix products."""
    gflops = operations(recipe) * speed / 1e9
    return Speed(
        precision=recipe.precision,
        clips_per_second=speed,
        gflops=gflops,
        peak_gflops=max(products, gflops),
        peak_is_lower_bound=gflops > products,
    )


def clips_per_second(recipe: Recipe, *, clips: int = 1024, repeats: int = 5) -> float:
    """Clips per second of training steps by this recipe on random clips: the median of `repeats`, after one warm-up.

    Sets threads and seed as training does. Augmentations that need to know the data set are left out.
    """
    recipe = augmenting.without_data(recipe)
    state = loop.Training.begin(recipe, _CLASSES)
    features = torch.randn(clips, architectures.FRAMES, architectures.BANDS, device=recipe.device)
    split = Split(features, torch.arange(clips, device=recipe.device) % _CLASSES)
    batch = torch.randperm(clips).to(recipe.device)
    return clips / _median(lambda: loop.step(state.model, state.optimizer, split, batch, recipe), repeats)


def operations(recipe: Recipe) -> int:
    """The number of operations to train on one clip."""
    network = layers.of_recipe(recipe, classes=_CLASSES)
    first = network.layers[0].multiply_accumulates if network.layers else 0
    return 2 * (3 * network.multiply_accumulates - first)


def peak_gflops(precision: str, *, device: str = "cpu") -> float:
    """The highest speed of a product of two square matrices in a precision, in 1e9 operations per second.

    Tries several sizes, layouts and data types; each runs once to warm up and then repeatedly for _PEAK_SECONDS. Uses
    as many threads as are set.
    """
    return max(rate for dtype in _DTYPES[precision] for rate in _products(dtype, device))


def _products(dtype: torch.dtype, device: str) -> Iterator[float]:
    """The speed of matrix products, size by size; stops early if a size takes long."""
    for size in _PEAK_SIZES:
        left, right, out = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))
        # The faster of the two layouts in this library.
        seconds = min(_least(partial(torch.mm, left, other, out=out)) for other in (right, right.t()))
        yield 2 * size**3 / seconds / 1e9
        if seconds > _LONG_SECONDS / 8:  # the next size takes eight times as long
            return


def _least(work: Callable[[], object]) -> float:
    """The minimum time of `work` in seconds after a warm-up; the first time if that was already long."""
    first = _timed(work)
    if first > _LONG_SECONDS:
        return first
    until = time.perf_counter() + _PEAK_SECONDS
    times = [_timed(work)]
    while time.perf_counter() < until:
        times.append(_timed(work))
    return min(times)


def verdict(recipe: Recipe) -> str:
    """A sentence on whether the recipe's precision is faster here, from a short measurement of it and of fp32."""
    plain_recipe = recipe.changed(precision=Recipe.precision, micro_batch_size=None)
    asked, plain = (clips_per_second(each, clips=256, repeats=3) for each in (recipe, plain_recipe))
    ratio = asked / plain
    advice = "" if ratio > 1 else "; --precision fp32 would be faster"
    return f"{recipe.precision} trains {ratio:.2f} times as fast as fp32 on this processor{advice}"


def _median(work: Callable[[], object], repeats: int) -> float:
    """The median time of `work` in seconds after a warm-up.

    Slow work is not repeated, such as bfloat16 on a processor without bfloat16 instructions.
    """
    first = _timed(work)
    if first > _LONG_SECONDS:
        return first
    return statistics.median(_timed(work) for _ in range(repeats))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
