"""A network layer by layer: output size, parameters by the formula with its numbers, multiply-accumulates.

All of it is read off the layers while one clip passes through them; nothing is typed in. The formulas are the report's:
a convolution's output is floor((in - kernel + 2 padding) / stride) + 1 in each direction, and K filters of k_h x k_w
over k_c channels have K (k_h k_w k_c + 1) parameters.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from kws import architectures


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer; sizes leave out the batch. A layer without parameters has the formula ""."""

    name: str
    kind: str
    output_size: tuple[int, ...]
    size_formula: str
    parameters: int
    parameter_formula: str
    multiply_accumulates: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network's layers in the order that a clip passes through them, and their totals."""

    arch: str
    title: str
    input_size: tuple[int, ...]
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Trainable numbers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates to classify one clip."""
        return sum(layer.multiply_accumulates for layer in self.layers)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        totals = {"parameters": self.parameters, "multiply_accumulates": self.multiply_accumulates}
        return {"schema": 1} | dataclasses.asdict(self) | totals


def describe(arch: str, *, classes: int, maps: tuple[int, ...] | None = None) -> Network:
    """The network by that name, described layer by layer."""
    model = architectures.build(arch, classes=classes, maps=maps)
    layers: list[Layer] = []
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda module, inputs, output, name=name: layers.append(_layer(name, module, inputs[0], output))
            )
    with torch.no_grad():
        model(torch.zeros(1, architectures.FRAMES, architectures.BANDS))
    return Network(
        arch=arch,
        title=architectures.title(arch),
        input_size=(architectures.FRAMES, architectures.BANDS),
        layers=tuple(layers),
    )


def _layer(name: str, module: nn.Module, entering: torch.Tensor, leaving: torch.Tensor) -> Layer:
    size = tuple(leaving.shape[1:])
    parameters = sum(parameter.numel() for parameter in module.parameters())
    size_formula = formula = ""
    multiplies = 0
    if isinstance(module, nn.Linear):
        kind = "linear"
        formula = f"{module.out_features} x ({module.in_features} + 1)"
        multiplies = module.in_features * module.out_features
    elif isinstance(module, nn.Conv2d):
        (height, width), channels = module.kernel_size, module.in_channels
        kind = f"convolution {height}x{width}"
        formula = f"{module.out_channels} x ({height} x {width} x {channels} + 1)"
        multiplies = math.prod(size) * height * width * channels
        size_formula = _size_formula(entering.shape[2:], module.kernel_size, module.padding, module.stride)
    elif isinstance(module, nn.MaxPool2d):
        kernel, stride, padding = _pair(module.kernel_size), _pair(module.stride), _pair(module.padding)
        kind = f"max pooling {kernel[0]}x{kernel[1]}"
        size_formula = _size_formula(entering.shape[2:], kernel, padding, stride)
    else:
        kind = type(module).__name__
    return Layer(
        name=name,
        kind=kind,
        output_size=size,
        size_formula=size_formula,
        parameters=parameters,
        parameter_formula=formula,
        multiply_accumulates=multiplies,
    )


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _size_formula(entering: Any, kernel: Any, padding: Any, stride: Any) -> str:
    return ", ".join(
        f"floor(({size} - {k} + 2 x {p}) / {s}) + 1 = {(size - k + 2 * p) // s + 1}"
        for size, k, p, s in zip(entering, kernel, padding, stride, strict=True)
    )
