"""The last states of stacked GRU layers, for training on a processor: what nn.GRU gives, in less time.

PyTorch's autograd keeps a record of some 15 operations for each frame and layer, each of which allocates its result. In
this function a frame takes seven operations forward and six backward, which write where they are needed. A step of
1,024 clips takes 1.2 times less of one core, and 1.4 to 1.5 times less time on two:

- The products with a layer's input, and those that give the gradients of weights, are made for some frames at once,
  while the frames are in the cache. So are the factors that a frame's gradients are multiplied by.
- The candidate state's tanh is computed from a sigmoid, tanh(x) = 2 sigmoid(2 x) - 1, which takes half of the time. The
  inner 2 is in the weights.
- Gradients of gates lie side by side in the order in which matrices are multiplied with them, so that none is copied.
- Only the top layer's last state has a gradient from outside.
- Parts of the minibatch are computed by threads side by side (see kws.architectures._threads); PyTorch's own threads
  gain less on a frame's small operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kws.architectures import _threads

_PART = 512  # clips; with fewer, threads of Python wait for each other's operations to begin
_FRAMES = 8  # at once, where they are independent of each other


def last_states(features: Tensor, gru: nn.GRU) -> Tensor:
    """The last state (B, H) of the top layer of `gru`, which has biases, one direction and no dropout; of (B, T, M)."""
    return _Layers.apply(features, *gru.parameters())


class _Layers(torch.autograd.Function):
    """All layers; parameters are four a layer, in PyTorch's order."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, *parameters: Tensor) -> Tensor:
        ctx.weights = [_Weights.of(*parameters[i : i + 4]) for i in range(0, len(parameters), 4)]
        ctx.kept = _threads.each(-(-len(features) // _PART), _forward, features.split(_PART), ctx.weights)
        return torch.cat([layers[-1].states[-1] for layers in ctx.kept])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        parts = _threads.each(len(ctx.kept), _backward, ctx.kept, gradient.split(_PART), ctx.weights)
        return None, *(torch.stack(each).sum(0) for each in zip(*parts, strict=True))


@dataclass
class _Weights:
    """A layer's, as they are multiplied with; gates are r, z and the candidate n, whose sigmoid takes 2 n."""

    to_gates: Tensor  # (M, 3H), from the input; that of n doubled
    bias: Tensor  # (3H,), what is added there
    to_rz: Tensor  # (H, 2H), from the state
    to_n: Tensor  # (H, H)
    bias_n: Tensor  # (H,)
    of_input: Tensor  # (3H, M), as PyTorch has it
    of_state: Tensor  # (3H, H), in the order n, r, z

    @classmethod
    def of(cls, of_input: Tensor, of_state: Tensor, bias_input: Tensor, bias_state: Tensor) -> _Weights:
        """From PyTorch's parameters."""
        size = of_state.shape[1]
        doubled = torch.ones(3 * size, dtype=of_state.dtype)
        doubled[2 * size :] = 2
        bias = bias_input * doubled
        bias[: 2 * size] += bias_state[: 2 * size]
        to_rz, to_n = (each.T.contiguous() for each in of_state.split([2 * size, size]))
        turned = of_state.roll(size, 0)
        return cls(of_input.T * doubled, bias, to_rz, to_n, bias_state[2 * size :], of_input, turned)


@dataclass
class _Kept:
    """What a layer's forward pass keeps of a part of B clips."""

    inputs: Tensor  # (T, B, M)
    states: Tensor  # (1 + T, B, H), 0 at first
    gates: Tensor  # (T, B, 3H): r, z, and n, behind sigmoid and tanh
    of_state: Tensor  # (T, B, H): what r multiplies in n


def _forward(part: int, features: Sequence[Tensor], weights: Sequence[_Weights]) -> list[_Kept]:
    x, layers = features[part].transpose(0, 1), []
    for layer in weights:
        layers.append(_layer(x, layer))
        x = layers[-1].states[1:]
    return layers


def _layer(x: Tensor, weights: _Weights) -> _Kept:
    frames, batch, _ = x.shape
    size = len(weights.bias_n)
    states = x.new_empty(frames + 1, batch, size)
    states[0] = 0
    gates, of_state = x.new_empty(frames, batch, 3 * size), x.new_empty(frames, batch, size)
    before, after = states[:-1].unbind(), states[1:].unbind()
    rz, n = (each.unbind() for each in gates.split([2 * size, size], 2))
    r, z = (each.unbind() for each in gates[..., : 2 * size].split(size, 2))
    of_states = of_state.unbind()
    minus_one = x.new_tensor(-1)
    for t in range(frames):
        if t % _FRAMES == 0:
            some = slice(t, t + _FRAMES)
            to_gates = gates[some].view(-1, 3 * size)
            torch.addmm(weights.bias, x[some].flatten(0, 1), weights.to_gates, out=to_gates)
        rz[t].addmm_(before[t], weights.to_rz).sigmoid_()
        torch.addmm(weights.bias_n, before[t], weights.to_n, out=of_states[t])
        n[t].addcmul_(r[t], of_states[t], value=2).sigmoid_()
        torch.add(minus_one, n[t], alpha=2, out=n[t])
        torch.lerp(n[t], before[t], z[t], out=after[t])
    return _Kept(x, states, gates, of_state)


def _backward(
    part: int, kept: Sequence[list[_Kept]], gradients: Sequence[Tensor], weights: Sequence[_Weights]
) -> list[Tensor]:
    """The gradients of all parameters."""
    found: list[Tensor] = []
    of_states = None
    for number in reversed(range(len(weights))):
        layer = kept[part][number]
        last = gradients[part] if of_states is None else None
        of_states, *of_layer = _layer_backward(layer, weights[number], last, of_states, first=number == 0)
        found[:0] = of_layer
    return found


def _layer_backward(
    kept: _Kept, weights: _Weights, last: Tensor | None, of_states: Tensor | None, *, first: bool
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of a layer's inputs, unless it is the first, and of its four parameters.

    `last` is the gradient of its last state, or `of_states` (T, B, H) that of all of them.
    """
    frames, batch, size = kept.of_state.shape
    x, states, gates, of_state = kept.inputs, kept.states, kept.gates, kept.of_state
    new = states.new_empty
    sigmoid_backward, tanh_backward = (
        torch.ops.aten.sigmoid_backward.grad_input,
        torch.ops.aten.tanh_backward.grad_input,
    )
    of_inputs = None if first else new(frames, batch, x.shape[2])
    d_input, d_state = states.new_zeros(3 * size, x.shape[2]), states.new_zeros(3 * size, size)
    sums = states.new_zeros(4 * size)
    # Of some frames: the gradients of r, z and n, by what is in them before sigmoid and tanh, and before those that
    # of what r multiplies in n. The first three are what weights of the state are multiplied with, the last three those
    # of the input. The factors are what the gradient of a state is multiplied by to give those of z and n.
    of_gates, factors = new(_FRAMES, batch, 4 * size), new(_FRAMES, batch, 2 * size)
    through, into = of_gates[..., : 3 * size], of_gates[..., size:]
    g_m, g_r, _, g_n = (each.unbind() for each in of_gates.split(size, 2))
    g_zn, factor = of_gates[..., 2 * size :].unflatten(2, (2, size)).unbind(), factors.unflatten(2, (2, size)).unbind()
    d = last.clone() if last is not None else states.new_zeros(batch, size)
    for start in reversed(range(0, frames, _FRAMES)):
        some = slice(start, min(start + _FRAMES, frames))
        r, z, n = gates[some].split(size, 2)
        count = len(r)
        of_z, of_n = factors[:count].split(size, 2)
        sigmoid_backward(states[some] - n, z, grad_input=of_z)
        tanh_backward(1 - z, n, grad_input=of_n)
        of_r = torch.ops.aten.sigmoid_backward(of_state[some], r)
        for i in reversed(range(count)):
            if of_states is not None:
                d += of_states[start + i]
            torch.mul(d[:, None], factor[i], out=g_zn[i])
            torch.mul(g_n[i], of_r[i], out=g_r[i])
            torch.mul(g_n[i], r[i], out=g_m[i])
            d.mul_(z[i]).addmm_(through[i], weights.of_state)
        to_state, to_input = through[:count].flatten(0, 1), into[:count].flatten(0, 1)
        d_state.addmm_(to_state.T, states[some].flatten(0, 1))
        d_input.addmm_(to_input.T, x[some].flatten(0, 1))
        sums += of_gates[:count].sum((0, 1))
        if of_inputs is not None:
            torch.mm(to_input, weights.of_input, out=of_inputs[some].view(-1, x.shape[2]))
    of_bias_state = sums[: 3 * size].roll(-size)
    return of_inputs, d_input, d_state.roll(-size, 0), sums[size:], of_bias_state
