"""DS-CNN's convolutions for training on a processor: the same results as torch.nn's modules, 1.7 to 2 times as fast.

Nearly all the time of a plain step goes into carrying maps of 33 MB (128 clips, 64 channels) between memory and
processor. Each convolution, batch normalisation, ReLU and dropout reads one and writes one, and their gradients do so
again. Here one function computes the whole chain and its gradient:

- A position's channels lie side by side, (B, H, W, C): a pointwise convolution is then one product of matrices, and
  PyTorch's depthwise convolution is twice as fast.
- A minibatch is computed in parts of a few clips, which stay in the cache from the normalisation of a layer's input to
  the statistics of its output. Statistics, and the sums in a normalisation's gradient, are those of the whole
  minibatch, added up over its parts.
- What a convolution gives is the only map that is kept. Normalised maps are computed again in the backward pass,
  where they are in the cache anyway. Maps after dropout are kept: drawing again would take longer.
- Dropout takes 16 of the 64 random bits that PyTorch's generator gives at a time; PyTorch's own takes a draw for each
  value, which is a sixth of a plain step.
- Threads take part after part (see kws.architectures._threads).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kws.architectures import _threads

_PART = 8 * 64  # clips times channels; a part's map takes 2 MB


def means(features: Tensor, stem: Any, blocks: Any, dropout: nn.Dropout) -> Tensor:
    """What the stem, the blocks, dropout and the mean over positions make of features (B, T, M): (B, C).

    Updates the running statistics of the modules, as they do in training.
    """
    convolution, norm, _, first = stem
    layers = [_Layer(convolution, norm, first.p)]
    for depthwise, one, _, pointwise, other, _ in blocks:
        layers += [_Layer(depthwise, one), _Layer(pointwise, other)]
    layers[-1].dropout = dropout.p
    parameters = [each for layer in layers for each in (layer.convolution.weight, layer.norm.weight, layer.norm.bias)]
    return _Chain.apply(features, layers, *parameters)


@dataclass
class _Layer:
    """A convolution, batch normalisation, ReLU, and dropout; and what a step keeps of them, by part."""

    convolution: Any
    norm: Any
    dropout: float = 0.0
    dropped: list[Tensor] | None = None

    def begin(self, outputs: Sequence[Tensor], statistics: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take the convolution's outputs and the means and variances of each part's; update what is running."""
        self.outputs, self.dropped = outputs, None
        counts = outputs[0].new_tensor([each[..., 0].numel() for each in outputs], dtype=torch.float64)[:, None]
        self.count = int(counts.sum())
        means, variances = (torch.stack(each).double() for each in zip(*statistics, strict=True))
        mean = (means * counts).sum(0) / self.count
        variance = ((variances + (means - mean).square()) * counts).sum(0) / self.count
        self.mean, self.inverse = mean.to(outputs[0].dtype), (variance + self.norm.eps).rsqrt().to(outputs[0].dtype)
        norm, kept = self.norm, 1 - self.dropout
        self.scale = norm.weight.detach() * self.inverse / kept
        self.shift = norm.bias.detach() / kept - self.mean * self.scale
        norm.running_mean.lerp_(self.mean, norm.momentum)
        norm.running_var.lerp_((variance * self.count / max(self.count - 1, 1)).to(self.mean.dtype), norm.momentum)
        norm.num_batches_tracked.add_(1)

    def activation(self, part: int) -> Tensor:
        """What this layer gives to the next."""
        if self.dropped:
            return self.dropped[part]
        # What dropout divides by is in the scale and the shift: ReLU comes to the same.
        return torch.addcmul(self.shift, self.outputs[part], self.scale).relu_()

    def drop(self) -> None:
        """Draw which activations to drop; all are kept until the backward pass."""
        seeds = torch.randint(2**63 - 1, (len(self.outputs),)).tolist()
        work = lambda part: drop(self.activation(part), self.dropout, seeds[part])  # noqa: E731
        self.dropped = _threads.each(len(seeds), work)

    def gradient_sums(self, part: int, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """A part's sums of the normalised output's gradient, times its normalised input and alone."""
        about = (_channels_first(gradient), _channels_first(self.outputs[part]), self.norm.weight, None, None)
        kept = (self.mean, self.inverse)
        found = torch.ops.aten.native_batch_norm_backward(*about, *kept, True, self.norm.eps, [False, True, True])
        return found[1], found[2]

    def end(self, sums: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Gradients of the normalisation's weight and bias; what outputs' gradients take is made from them.

        With g the gradient behind ReLU, n = count, w the norm's weight, z the convolution's output and y the same
        normalised, dz = w inverse (g - sum(g) / n - y sum(g y) / n), which is by_gradient g + by_output z + constant.
        What dropout divides by is in by_gradient, not in g.
        """
        of_weight, of_bias = (torch.stack(each).sum(0) / (1 - self.dropout) for each in zip(*sums, strict=True))
        scale = self.norm.weight.detach() * self.inverse
        self.by_gradient = self.scale
        self.by_output = -scale * self.inverse * of_weight / self.count
        self.constant = -scale * of_bias / self.count - self.by_output * self.mean
        return of_weight, of_bias

    def output_gradient(self, part: int, gradient: Tensor) -> Tensor:
        """The gradient of the convolution's output."""
        return torch.addcmul(self.constant, self.outputs[part], self.by_output).addcmul_(gradient, self.by_gradient)


class _Chain(torch.autograd.Function):
    """All layers, and the mean over positions."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, layers: list[_Layer], *parameters: Tensor) -> Tensor:
        ctx.layers, ctx.weights = layers, parameters[::3]
        ctx.features = features.split(max(_PART // len(ctx.weights[0]), 1))
        inputs: Sequence[Tensor] = ctx.features
        before = None
        for layer, weight in zip(layers, ctx.weights, strict=True):
            outputs, statistics = zip(*_threads.each(len(inputs), _forward, inputs, before, layer, weight), strict=True)
            layer.begin(outputs, statistics)
            if layer.dropout:
                layer.drop()
            before = layer
        return torch.cat(_threads.each(len(inputs), lambda part: layers[-1].activation(part).mean((1, 2))))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        features, layers, weights = ctx.features, ctx.layers, ctx.weights
        of_each = gradient.split([len(each) for each in features])
        gradients, sums = zip(*_threads.each(len(features), _of_mean, of_each, layers[-1]), strict=True)
        found: list[Tensor] = []
        for number in range(len(layers) - 1, 0, -1):
            layer, before, weight = layers[number], layers[number - 1], weights[number]
            of_norm = layer.end(sums)
            parts = _threads.each(len(features), _backward, gradients, before, layer, weight)
            gradients, sums, of_weight = zip(*parts, strict=True)
            found[:0] = [torch.stack(of_weight).sum(0), *of_norm]
        of_norm = layers[0].end(sums)
        of_stem = torch.stack(_threads.each(len(features), _of_stem, gradients, features, layers[0])).sum(0)
        return None, None, of_stem.view_as(weights[0]), *of_norm, *found


def _forward(part: int, features: Sequence[Tensor], before: _Layer | None, layer: _Layer, weight: Tensor) -> Any:
    """What a layer's convolution makes of a part, and the means and variances of its channels."""
    if before is None:
        y = _windows(features[part], layer.convolution) @ weight.flatten(1).T
    else:
        y = _convolved(before.activation(part), layer.convolution, weight)
    return y, torch.batch_norm_update_stats(_channels_first(y), None, None, 0.0)


def _of_mean(part: int, gradients: Sequence[Tensor], last: _Layer) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The gradient behind the last ReLU, and its sums, from that of the mean over positions."""
    x = last.activation(part)
    spread = (gradients[part] / (x.shape[1] * x.shape[2]))[:, None, None].expand_as(x)
    g = torch.ops.aten.threshold_backward(spread, x, 0)
    return g, last.gradient_sums(part, g)


def _backward(
    part: int, gradients: Sequence[Tensor], before: _Layer, layer: _Layer, weight: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """The gradient behind the ReLU of the layer before, in place of this layer's; its sums; and the weight's."""
    x = before.activation(part)
    dx, dw = _gradients(layer.output_gradient(part, gradients[part]), x, layer.convolution, weight)
    g = torch.ops.aten.threshold_backward.grad_input(dx, x, 0, grad_input=gradients[part])
    return g, before.gradient_sums(part, g), dw


def _of_stem(part: int, gradients: Sequence[Tensor], features: Sequence[Tensor], stem: _Layer) -> Tensor:
    """The gradient of the stem's weight."""
    dy = stem.output_gradient(part, gradients[part]).flatten(0, 2)
    return dy.T @ _windows(features[part], stem.convolution).flatten(0, 2)


def drop(x: Tensor, share: float, seed: int) -> Tensor:
    """x, of which a share, drawn with that seed, is made zero in place."""
    values = x.view(torch.int32).view(-1).chunk(2)
    bits = torch.empty((len(values[0]) + 1) // 2, dtype=torch.int64)
    bits = bits.random_(-(2**63), None, generator=torch.Generator().manual_seed(seed)).view(torch.int32)
    least = round(share * 2**32) - 2**31  # of the numbers of 32 bits, which are uniform, that keep a value
    # The lower 16 bits decide about a value of one half, the upper ones about one of the other. Multiplying the bits of
    # a floating-point number by the whole number 0 or 1 is exact, and needs no mask in floating point.
    for half, number in zip(values, (bits << 16, bits), strict=False):
        half.mul_(number.ge_(least)[: len(half)])
    return x


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _windows(features: Tensor, convolution: Any) -> Tensor:
    """The values under the convolution's kernel at each position, (B, H, W, values), of features (B, T, M)."""
    (height, width), (down, right) = convolution.kernel_size, convolution.stride
    over, beside = convolution.padding
    padded = F.pad(features, (beside, beside, over, over))
    # Windows of one frame at first, frame after frame, of which one over several frames is then an unbroken stretch.
    flat = padded.unfold(2, width, right).transpose(1, 2).flatten(2)  # (B, W, T x width)
    return flat.unfold(2, height * width, down * width).transpose(1, 2).contiguous()


def _convolved(x: Tensor, convolution: Any, weight: Tensor) -> Tensor:
    """A pointwise or depthwise convolution of (B, H, W, C)."""
    if convolution.groups == 1:
        return x @ weight.flatten(1).T
    return F.conv2d(_channels_first(x), weight, padding=convolution.padding, groups=len(weight)).permute(0, 2, 3, 1)


def _gradients(dy: Tensor, x: Tensor, convolution: Any, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the input and of the weight of such a convolution."""
    if convolution.groups == 1:
        matrix = weight.flatten(1)
        return dy @ matrix, (dy.flatten(0, 2).T @ x.flatten(0, 2)).view_as(weight)
    about = (_channels_first(dy), _channels_first(x), weight, None, (1, 1), convolution.padding, (1, 1))
    dx, dw, _ = torch.ops.aten.convolution_backward(*about, False, (0, 0), len(weight), [True, True, False])
    return dx.permute(0, 2, 3, 1), dw
