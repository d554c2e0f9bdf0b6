"""BC-ResNet's training steps on a processor: the same results as torch.nn's modules, 1.6 to 1.8 times as fast.

Its convolutions have few channels and few products for each value that they read, so that a plain step is spent on
maps in memory, and on PyTorch's convolutions and normalisations, which are slow for such shapes. Here maps are
(C, F, T, B), with the channel outside and the clips inside:

- A pointwise convolution is one product of matrices, (C', C) by (C, F x T x B).
- A convolution over bands or frames multiplies whole stretches of memory by a number and adds them.
- What is normalised together is one stretch of memory, a group of SubSpectralNorm's bands as well.
- What works on the mean over bands takes a fifth to a twentieth of the memory.

A block is one function with a gradient of its own, which keeps only what it needs: its input and output, the centred
output of each convolution, and the mean over bands.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def logits(features: Tensor, stem: Any, blocks: Any, head: Any, last: Any) -> Tensor:
    """What the modules make of features (B, T, M): (B, K). Updates their running statistics, as training does."""
    padded = F.pad(features.permute(2, 1, 0), (0, 0, 2, 2, 2, 2))
    x = _Pointwise.apply(padded, stem[1], stem[0].weight.flatten(1), stem[1].weight, stem[1].bias)
    for block in blocks:
        if block.changes:
            convolution, norm = block.expand[0], block.expand[1]
            x = _Pointwise.apply(x, norm, convolution.weight.flatten(1), norm.weight, norm.bias)
        x = _Block.apply(x, block, _kept_channels(block, x), *_parameters(block))
    x = _OverAllBands.apply(x, head[0].weight[:, 0])
    x = _Pointwise.apply(x, head[2], head[1].weight.flatten(1), head[2].weight, head[2].bias)
    return F.linear(x.mean((1, 2)).T, last[0].weight.flatten(1), last[0].bias)


def _windows(padded: Tensor, band: int) -> Tensor:
    """The values under the stem's kernel in a band, (25, T x B), of padded features (M + 4, T + 4, B)."""
    _, frames, batch = padded.shape
    beside = padded.unfold(0, 5, 1)[2 * band].unfold(0, 5, 1)  # (T, B, 5 bands, 5 frames)
    return beside.permute(2, 3, 0, 1).reshape(25, (frames - 4) * batch)


def _kept_channels(block: Any, x: Tensor) -> Tensor | None:
    """What a block's channel dropout multiplies by, (C, 1, B); None if it drops nothing."""
    share = block.over_time[4].p
    if not share:
        return None
    ones = x.new_ones(x.shape[3], len(block.over_bands.weight))
    return F.dropout(ones, share).T.unsqueeze(1)


def _parameters(block: Any) -> tuple[Tensor, ...]:
    depthwise, norm, _, pointwise, _ = block.over_time
    return (
        *(block.over_bands.weight.flatten(1), block.norm.weight, block.norm.bias),
        *(depthwise.weight.flatten(1), norm.weight, norm.bias, pointwise.weight.flatten(1)),
    )


class _Pointwise(torch.autograd.Function):
    """A product with a matrix, batch normalisation and ReLU; or those of the stem, with padded features (M, T, B).

    The values under the stem's kernel are gathered a band at a time, and again in the backward pass: those of all bands
    take 26 MB for 128 clips.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: Any, weight: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        if x.ndim == 3:
            y = x.new_empty(len(weight), (x.shape[0] - 5) // 2 + 1, x.shape[1] - 4, x.shape[2])
            for band, to in enumerate(y.flatten(2).unbind(1)):
                torch.mm(weight, _windows(x, band), out=to)
        else:
            y = (weight @ x.flatten(1)).view(-1, *x.shape[1:])
        ctx.inverse = _centre(y, norm)
        out = _scaled(y, ctx.inverse * scale, shift).relu_()
        ctx.save_for_backward(x, weight, scale, y, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight, scale, y, out = ctx.saved_tensors
        g = _behind_relu(gradient, out)
        g, of_scale, of_shift = _of_normalised(g, y, ctx.inverse, scale)
        if x.ndim == 3:
            bands = enumerate(g.flatten(2).unbind(1))
            of_weight = torch.stack([each @ _windows(x, band).T for band, each in bands]).sum(0)
            return None, None, of_weight, of_scale, of_shift
        return (weight.T @ g.flatten(1)).view_as(x), None, g.flatten(1) @ x.flatten(1).T, of_scale, of_shift


class _Block(torch.autograd.Function):
    """A broadcasted residual block without what changes its channels; (C, F, T, B) to (C, F / stride, T, B)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, block: Any, kept: Tensor | None, *parameters: Tensor) -> Tensor:
        of_bands, scale, shift, of_frames, time_scale, time_shift, pointwise = parameters
        stride, dilation = block.over_bands.stride[0], block.over_time[0].dilation[1]
        y = _shifted_sum(x, of_bands, stride, 1)
        ctx.inverse = _centre(y, block.norm)
        z = _scaled(y, ctx.inverse * scale, shift)
        mean = z.mean(1)
        u = _shifted_sum(mean, of_frames, 1, dilation)
        ctx.time_inverse = _centre(u, block.over_time[1])
        v = _scaled(u, ctx.time_inverse * time_scale, time_shift)
        added = (pointwise @ F.silu(v).flatten(1)).view_as(u)
        if kept is not None:
            added *= kept
        z += added.unsqueeze(1)
        if not block.changes:
            z += x
        out = z.relu_()
        ctx.stride, ctx.dilation, ctx.changes, ctx.kept = stride, dilation, block.changes, kept
        ctx.save_for_backward(x, y, mean, u, v, out, *parameters)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, y, mean, u, v, out, *parameters = ctx.saved_tensors
        of_bands, scale, _, of_frames, time_scale, _, pointwise = parameters
        g = _behind_relu(gradient, out)
        added = g.sum(1)
        if ctx.kept is not None:
            added *= ctx.kept
        of_pointwise = added.flatten(1) @ F.silu(v).flatten(1).T
        dv = torch.ops.aten.silu_backward((pointwise.T @ added.flatten(1)).view_as(v), v)
        du, *of_time_norm = _of_normalised(dv, u, ctx.time_inverse, time_scale)
        d_mean, d_frames = _of_shifted_sum(du, mean, of_frames, 1, ctx.dilation)
        d_mean = d_mean.div_(out.shape[1]).unsqueeze(1)
        dz = g.add_(d_mean) if ctx.changes else g + d_mean
        dy, *of_norm = _of_normalised(dz, y, ctx.inverse, scale)
        dx, d_bands = _of_shifted_sum(dy, x, of_bands, ctx.stride, 1, None if ctx.changes else g)
        return dx, None, None, d_bands, *of_norm, d_frames, *of_time_norm, of_pointwise


class _OverAllBands(torch.autograd.Function):
    """The head's convolution, with a weight (C, F, 5), which leaves one band: (C, 1, T, B) of (C, F, T, B)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        channels, _, frames, batch = x.shape
        each = torch.bmm(weight.transpose(1, 2), x.flatten(2)).view(channels, 5, frames, batch)
        each = F.pad(each, (0, 0, 2, 2))
        return torch.stack([each[:, k, k : k + frames] for k in range(5)], 1).sum(1, keepdim=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        frames = x.shape[2]
        padded = F.pad(gradient[:, 0], (0, 0, 2, 2))
        of_each = torch.stack([padded[:, 4 - k : 4 - k + frames] for k in range(5)], 1).flatten(2)
        return torch.bmm(weight, of_each).view_as(x), torch.bmm(x.flatten(2), of_each.transpose(1, 2))


def _behind_relu(gradient: Tensor, out: Tensor) -> Tensor:
    """The gradient of what ReLU made `out` of, in place where that is possible: nothing else reads it."""
    if not gradient.is_contiguous():
        return torch.ops.aten.threshold_backward(gradient, out, 0)
    return torch.ops.aten.threshold_backward.grad_input(gradient, out, 0, grad_input=gradient)


def _centre(y: Tensor, norm: Any) -> Tensor:
    """Subtract the mean of each group from it in place; returns 1 / its deviation, and updates what is running.

    Groups are consecutive stretches, as many as the normalisation has weights.
    """
    groups = y.view(len(norm.weight), -1)
    mean = groups.mean(1)
    groups.sub_(mean[:, None])
    count = groups.shape[1]
    squares = torch.linalg.vector_norm(groups, dim=1).square_()
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(squares / max(count - 1, 1), norm.momentum)
    norm.num_batches_tracked.add_(1)
    return (squares / count + norm.eps).rsqrt_()


def _scaled(y: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Each group times its factor, and shifted."""
    nothing, one = torch.zeros_like(factor), torch.ones_like(factor)
    groups = y.view(1, len(factor), -1)
    return torch.native_batch_norm(groups, factor, shift, nothing, one, False, 0.0, 0.0)[0].view_as(y)


def _of_normalised(g: Tensor, y: Tensor, inverse: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of what is normalised, of the scale and of the shift; y is what _centre() left."""
    about = (each.view(1, len(scale), -1) for each in (g, y))
    kept = (torch.zeros_like(inverse), inverse)
    found = torch.ops.aten.native_batch_norm_backward(*about, scale, None, None, *kept, True, 0.0, [True, True, True])
    return found[0].view_as(g), found[1], found[2]


def _reach(k: int, entering: int, leaving: int, stride: int, dilation: int) -> tuple[slice, slice]:
    """Where a convolution of 3 over `entering` places multiplies by its k-th number, and where it adds that to."""
    offset = (k - 1) * dilation
    first = max(-(offset // stride), 0)
    last = min(leaving, (entering - 1 - offset) // stride + 1)
    begin = first * stride + offset
    return slice(begin, begin + (last - first - 1) * stride + 1, stride), slice(first, last)


def _shifted_sum(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """A convolution with a weight (C, 3) over the second direction, padded by `dilation`."""
    entering = x.shape[1]
    leaving = (entering - 1) // stride + 1
    of_each = [weight[:, k].view(-1, *[1] * (x.ndim - 1)) for k in range(3)]
    y = x[:, ::stride] * of_each[1]
    for k in (0, 2):
        taken, to = _reach(k, entering, leaving, stride, dilation)
        y[:, to].addcmul_(x[:, taken], of_each[k])
    return y


def _of_shifted_sum(
    dy: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int, more: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The gradients of its input, to which `more` is added, and of its weight."""
    entering, leaving = x.shape[1], dy.shape[1]
    of_each = [weight[:, k].view(-1, *[1] * (x.ndim - 1)) for k in range(3)]
    if more is not None:
        dx = more.addcmul_(dy, of_each[1])
    elif stride == 1:
        dx = dy * of_each[1]
    else:
        dx = torch.zeros_like(x)
        torch.mul(dy, of_each[1], out=dx[:, ::stride])
    for k in (0, 2):
        taken, to = _reach(k, entering, leaving, stride, dilation)
        dx[:, taken].addcmul_(dy[:, to], of_each[k])
    if x.ndim == 3:
        reaches = [_reach(k, entering, leaving, stride, dilation) for k in range(3)]
        return dx, torch.stack([(dy[:, to] * x[:, taken]).sum((1, 2)) for taken, to in reaches], 1)
    # Bands are few: the products of all with all, of which three diagonals are wanted, take one pass over both maps.
    products = torch.bmm(dy.flatten(2), x.flatten(2).transpose(1, 2))
    at = torch.arange(leaving)[:, None] * stride + torch.arange(3)
    padded = F.pad(products, (1, 1))
    return dx, padded.gather(2, at.expand(len(x), -1, -1)).sum(1)
