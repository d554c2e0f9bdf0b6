"""The plain PyTorch loop, as a tutorial has it: contiguous tensors, ReLU before pooling, the whole minibatch at once.

The optimizer, the threads and the memory allocator are as PyTorch has them by default, and nothing is set up. The
networks are the report's, written with torch.nn alone.
"""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

from benchmarks.measure import peak_megabytes, timed

FRAMES, BANDS, CLASSES = 101, 40, 3


def network(arch: str) -> Any:
    """The report's network, which takes features (B, T, M)."""
    from torch import nn

    if arch == "fc":
        sizes = [FRAMES * BANDS, 128, 128, 128, 128]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, CLASSES))
    return nn.Sequential(
        nn.Unflatten(1, (1, FRAMES)),
        nn.Conv2d(1, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2464, 128),
        nn.ReLU(),
        nn.Linear(128, 128),
        nn.ReLU(),
        nn.Linear(128, CLASSES),
    )


def plain(arch: str, batch: int, clips: int, warm: int, repeats: int, bf16: bool = False) -> float:
    """The median of the seconds of a step; with `bf16` under PyTorch's autocast. Runs in a process of its own."""
    import torch
    from torch.nn.functional import cross_entropy

    model = network(arch)
    optimizer = torch.optim.Adam(model.parameters())
    features, labels = torch.randn(clips, FRAMES, BANDS), torch.arange(clips) % CLASSES
    batches = (torch.randperm(clips)[:batch] for _ in range(warm + repeats))
    model.train()

    def step() -> float:
        index = next(batches)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = cross_entropy(model(features[index]), labels[index])
        loss.backward()
        optimizer.step()
        return loss.item()

    return statistics.median(timed(step, warm=warm, repeats=repeats))


def plain_memory(arch: str, batch: int, clips: int) -> float:
    """The most memory of two such steps, in MB."""
    plain(arch, batch, clips, warm=0, repeats=2)
    return peak_megabytes()


def torch_alone() -> float:
    """The most memory of `import torch` and one small product of matrices, in MB."""
    import torch

    torch.mm(torch.randn(64, 64), torch.randn(64, 64))
    return peak_megabytes()
