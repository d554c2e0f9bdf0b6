"""A network layer by layer: output size, parameters with their formula in numbers, multiply-accumulates.

Everything is measured while one clip passes through the layers; nothing is typed in by hand. The formulas are the
report's: a convolution's output is floor((in - kernel + 2 padding) / stride) + 1 in each direction, and K filters of
k_h x k_w over k_c channels have K (k_h k_w k_c + 1) parameters. A test checks the multiply-accumulates against
PyTorch's own counter (torch.utils.flop_counter). That counter is not used here because it imports the compiler, which
takes two seconds per run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from kws import architectures
from kws.recipe import NETWORK

if TYPE_CHECKING:
    from kws.recipe import Recipe

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}
_POOLS = {
    nn.MaxPool1d: "max", nn.MaxPool2d: "max", nn.MaxPool3d: "max",
    nn.AvgPool1d: "average", nn.AvgPool2d: "average", nn.AvgPool3d: "average",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer; sizes exclude the batch. The formula of a layer without parameters is ""."""

    name: str
    kind: str
    output_size: tuple[int, ...]
    size_formula: str
    parameters: int
    parameter_formula: str
    multiply_accumulates: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network's layers in the order of the forward pass, and the number of its trainable parameters."""

    arch: str
    title: str
    input_size: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int

    @property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates to classify one clip."""
        return sum(layer.multiply_accumulates for layer in self.layers)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema": 1} | dataclasses.asdict(self) | {"multiply_accumulates": self.multiply_accumulates}


def of_recipe(recipe: Recipe, *, classes: int) -> Network:
    """The recipe's network, described layer by layer."""
    return describe(recipe.arch, architectures.build(recipe, classes))


def describe(arch: str, model: nn.Module) -> Network:
    """The description of `model`, the network named `arch`, layer by layer; the model is not changed."""
    layers: list[Layer] = []
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: layers.extend(_layer(name, module, inputs, output))
        )
        for name, module in model.named_modules()
        if not list(module.children())
    ]
    was_training = model.training
    clip = torch.zeros(1, architectures.FRAMES, architectures.BANDS)
    try:
        with torch.no_grad():
            model.eval()(clip.to(next((each.device for each in model.parameters()), clip.device)))
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return Network(
        arch=arch,
        title=NETWORK.title(arch),
        input_size=(architectures.FRAMES, architectures.BANDS),
        layers=tuple(layers),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _layer(name: str, module: nn.Module, inputs: tuple[Any, ...], leaving: Any) -> Iterator[Layer]:
    """A module as a layer; none for a module that is not given a tensor first, or returns none."""
    while isinstance(leaving, tuple | list) and leaving:  # a recurrent layer returns (outputs, last state)
        leaving = leaving[0]
    if not (inputs and isinstance(entering := inputs[0], torch.Tensor) and isinstance(leaving, torch.Tensor)):
        return
    size = tuple(leaving.shape[1:])
    kind, size_formula, formula, multiplies = type(module).__name__, "", "", 0
    if isinstance(module, nn.Linear):
        kind = "linear"
        formula = f"{module.out_features} x ({module.in_features}{_bias(module)})"
        multiplies = leaving.numel() * module.in_features  # for one clip, whichever axis is the batch
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        kernel, channels = module.kernel_size, module.in_channels // module.groups
        kind = f"convolution {_by(kernel)}" + (f" in {module.groups} groups" if module.groups > 1 else "")
        formula = f"{module.out_channels} x ({' x '.join(map(str, kernel))} x {channels}{_bias(module)})"
        multiplies = leaving.numel() * math.prod(kernel) * channels
        size_formula = _size_formula(entering, kernel, module.padding, module.stride, module.dilation)
    elif isinstance(module, tuple(_POOLS)):
        kernel = _each(module.kernel_size, entering)
        kind = f"{_POOLS[type(module)]} pooling {_by(kernel)}"
        size_formula = _size_formula(entering, kernel, module.padding, module.stride)
    elif isinstance(module, nn.RNNBase):
        formula, weights = _recurrent(module)
        multiplies = weights * entering.shape[1 if module.batch_first else 0]
    elif parameters := [parameter.numel() for parameter in module.parameters()]:
        formula = " + ".join(map(str, parameters))
    yield Layer(
        name=name,
        kind=kind,
        output_size=size,
        size_formula=size_formula,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        parameter_formula=formula,
        multiply_accumulates=multiplies,
    )


def _recurrent(module: nn.RNNBase) -> tuple[str, int]:
    """A recurrent layer's parameter formula, and its number of weights, each of which is used once per frame."""
    directions, gates, hidden = 1 + module.bidirectional, _GATES[module.mode], module.hidden_size
    terms, weights = [], 0
    for layer in range(module.num_layers):
        entering = module.input_size if layer == 0 else hidden * directions
        terms.append(f"{directions * gates} x {hidden} x ({entering} + {hidden}{' + 2' if module.bias else ''})")
        weights += directions * gates * hidden * (entering + hidden)
    return " + ".join(terms), weights


def _bias(module: Any) -> str:
    return "" if module.bias is None else " + 1"


def _by(kernel: tuple[int, ...]) -> str:
    return "x".join(map(str, kernel))


def _each(value: Any, entering: torch.Tensor) -> tuple[int, ...]:
    """A value for each spatial direction of a layer's input, which also has a batch and a channel axis."""
    return tuple(value) if isinstance(value, tuple) else (value,) * (entering.ndim - 2)


def _size_formula(entering: torch.Tensor, kernel: Any, padding: Any, stride: Any, dilation: Any = 1) -> str:
    if isinstance(padding, str):
        return padding
    about = (_each(value, entering) for value in (kernel, padding, stride, dilation))
    return ", ".join(
        f"floor(({size} - {d * (k - 1) + 1} + 2 x {p}) / {s}) + 1 = {(size - d * (k - 1) - 1 + 2 * p) // s + 1}"
        for size, k, p, s, d in zip(entering.shape[2:], *about, strict=True)
    )
