"""JAX: the same networks with lax convolutions and max pooling by reduce_window, Adam by hand, the step compiled.

Features are (B, T, M, 1), the layout that XLA's convolutions want on a CPU. Weights and moments are donated to the
step, so that they are updated in place.
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.measure import timed
from benchmarks.peers_torch import BANDS, CLASSES, FRAMES


def steps(arch: str, batch: int, clips: int, warm: int, repeats: int) -> float:
    """The median of the seconds of a step. Runs in a process of its own."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    random = np.random.default_rng(0)
    features = jnp.asarray(random.standard_normal((clips, FRAMES, BANDS), dtype=np.float32))
    labels = jnp.arange(clips) % CLASSES
    weights = [jnp.asarray(weight) for weight in _weights(arch, random)]
    forward = _convolutional if arch == "cnn" else _fully_connected

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        logits = jax.nn.log_softmax(forward(weights, x))
        return -jnp.take_along_axis(logits, y[:, None], 1).mean()

    def adam(weight: Any, gradient: Any, first: Any, second: Any, time: Any) -> tuple[Any, Any, Any]:
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        scale = 0.001 / (1 - 0.9**time)
        return weight - scale * first / (jnp.sqrt(second / (1 - 0.999**time)) + 1e-8), first, second

    def step(state: Any, features: Any, labels: Any, index: Any) -> tuple[Any, Any]:
        weights, firsts, seconds, time = state
        value, gradients = jax.value_and_grad(loss)(weights, features[index], labels[index])
        moved = [adam(*each, time) for each in zip(weights, gradients, firsts, seconds, strict=True)]
        return (*(list(part) for part in zip(*moved, strict=True)), time + 1), value

    compiled = jax.jit(step, donate_argnums=0)
    zeros = [[jnp.zeros_like(weight) for weight in weights] for _ in range(2)]
    state: Any = (weights, *zeros, jnp.float32(1))
    batches = (random.permutation(clips)[:batch] for _ in range(warm + repeats))

    def one() -> None:
        nonlocal state
        state, value = compiled(state, features, labels, next(batches))
        value.block_until_ready()
        jax.block_until_ready(state)

    return statistics.median(timed(one, warm=warm, repeats=repeats))


def _weights(arch: str, random: Any) -> list[Any]:
    """Weights and biases in turn, as PyTorch's default initialisation would draw them."""
    dense = [(4040, 128), (128, 128), (128, 128), (128, 128), (128, CLASSES)]
    shapes: list[tuple[int, ...]] = [tuple(shape) for shape in dense]
    if arch == "cnn":
        shapes = [(5, 5, 1, 32), (5, 5, 32, 16), (2464, 128), (128, 128), (128, CLASSES)]
    drawn = []
    for shape in shapes:
        bound = 1
        for size in shape[:-1]:
            bound *= size
        drawn += [
            random.uniform(-(bound**-0.5), bound**-0.5, shape).astype("float32"),
            random.uniform(-(bound**-0.5), bound**-0.5, shape[-1:]).astype("float32"),
        ]
    return drawn


def _convolutional(weights: list[Any], x: Any) -> Any:
    import jax
    from jax import lax

    kernel1, bias1, kernel2, bias2, *dense = weights
    x = x[..., None]
    for kernel, bias in ((kernel1, bias1), (kernel2, bias2)):
        x = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + bias)
        x = lax.reduce_window(x, -float("inf"), lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return _fully_connected(dense, x)


def _fully_connected(weights: list[Any], x: Any) -> Any:
    import jax

    x = x.reshape(len(x), -1)
    *hidden, last_weight, last_bias = weights
    for weight, bias in zip(hidden[::2], hidden[1::2], strict=True):
        x = jax.nn.relu(x @ weight + bias)
    return x @ last_weight + last_bias
