"""Training steps of the newer networks, AdamW: kws in fp32 beside a plain PyTorch loop of the same network.

- kws: training.set_up() and training.step(), as `kws train` runs them, on all cores.
- Plain: the networks of plain_networks, the whole minibatch at once, PyTorch's fused AdamW; threads and the memory
  allocator are as PyTorch has them by default. It takes its clips from a tensor by their numbers, as kws does.
- A turn is a process: a few steps to warm up, then the median of those that count. Cells take turns, so that a turn of
  kws and one of the plain loop make a pair.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.measure import call, cores, take_turns, timed
from benchmarks.peers_torch import BANDS, CLASSES, FRAMES
from benchmarks.report import Row, compared
from benchmarks.workspace import Workspace

GROUP = "networks"
BATCHES = {"gru": 1024, "tc_resnet": 128, "ds_cnn": 128, "bc_resnet": 128}
_WANTED = {"gru": 1.3, "tc_resnet": 1.5, "ds_cnn": 2.0, "bc_resnet": 2.0}
_BATCHES_OF_CLIPS = 4  # so many different minibatches are drawn from


def measure(workspace: Workspace) -> list[Row]:
    """A row of each network."""
    return [_row(arch, workspace) for arch in BATCHES]


def _row(arch: str, workspace: Workspace) -> Row:
    batch = BATCHES[arch] // 8 if workspace.quick else BATCHES[arch]
    about = {
        "arch": arch,
        "batch": batch,
        **({"warm": 1, "repeats": 2} if workspace.quick else {"warm": 3, "repeats": 10}),
    }
    cells: dict[str, Callable[[], float]] = {
        "kws": lambda: call("networks:ours", **about),
        "plain PyTorch": lambda: call("networks:plain", **about),
    }
    turns = take_turns(cells, workspace.rounds, group=f"{GROUP} {arch}")
    ours, theirs = (turns.samples(cell, lambda seconds: batch / seconds) for cell in cells)
    return compared(
        group=GROUP,
        what=f"{arch} training step, fp32, batch {batch:,}",
        unit="clips/s",
        ours=ours,
        against="plain PyTorch",
        theirs=theirs,
        more_is_better=True,
        least=_WANTED[arch],
        note="; ".join(f"{cell} failed ({reason})" for cell, reason in turns.failures.items()),
    )


def ours(arch: str, batch: int, warm: int, repeats: int) -> float:
    """The median of the seconds of a step as `kws train` runs it. Runs in a process of its own."""
    import torch

    from kws.recipe import Recipe
    from kws.speech.dataset import Split
    from kws.training import loop

    recipe = Recipe.of(arch=arch, opt="adamw", batch_size=batch, threads=cores())
    state = loop.Training.begin(recipe, CLASSES)
    clips = _BATCHES_OF_CLIPS * batch
    split = Split(torch.randn(clips, FRAMES, BANDS), torch.arange(clips) % CLASSES)

    def step() -> None:
        loop.step(state.model, state.optimizer, split, torch.randperm(clips)[:batch], recipe)

    return statistics.median(timed(step, warm=warm, repeats=repeats))


def plain(arch: str, batch: int, warm: int, repeats: int) -> float:
    """The median of the seconds of a step of a plain loop. Runs in a process of its own."""
    import torch
    from torch.nn.functional import cross_entropy

    from benchmarks.plain_networks import network

    model = network(arch)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    clips = _BATCHES_OF_CLIPS * batch
    features, labels = torch.randn(clips, FRAMES, BANDS), torch.arange(clips) % CLASSES
    model.train()

    def step() -> float:
        index = torch.randperm(clips)[:batch]
        optimizer.zero_grad()
        loss = cross_entropy(model(features[index]), labels[index])
        loss.backward()
        optimizer.step()
        return loss.item()

    return statistics.median(timed(step, warm=warm, repeats=repeats))
