"""Training steps of both networks, batch 1,024, Adam: kws in fp32 and bf16 beside plain PyTorch, Lightning and JAX.

- kws: training.set_up() and training.step(), as `kws train` runs them.
- A turn is a process: a few steps to warm up, then the median of those that count. Clips are random numbers; the
  gathering of a minibatch from all clips belongs to the step, everywhere.
- Operations are two a multiply-accumulate: 2 x (3 x those of the forward pass, less those of the first layer, whose
  input needs no gradient). Their share is of the matrix-product peak in the same precision, measured in turn.
- Lightning is timed over its second epoch, its loader included, since that is what it costs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.machine import has_amx
from benchmarks.measure import Samples, Turns, call, cores, installed, take_turns, timed
from benchmarks.report import Row, compared, missing
from benchmarks.workspace import Workspace

CLIPS = 9_489
PLAIN = "plain PyTorch"
_PEERS = {  # cell, package
    "Lightning": "lightning",
    "JAX": "jax",
}
_WANTED = {("cnn", "fp32"): 4.5, ("cnn", "bf16"): 8.0, ("fc", "fp32"): 1.3}
_SHARE = {("cnn", "fp32"): 0.45}


def measure(workspace: Workspace) -> list[Row]:
    """The rows of both networks."""
    return [row for arch in ("cnn", "fc") for row in _rows(arch, workspace)]


def _rows(arch: str, workspace: Workspace) -> list[Row]:
    batch = 256 if workspace.quick else 1024
    turns = take_turns(_cells(arch, batch, quick=workspace.quick), workspace.rounds, group=f"train {arch}")
    operations = call("steps:operations", arch=arch)
    rows = []
    for precision in ("fp32", "bf16"):
        ours = turns.samples(f"kws {precision}", lambda seconds: batch / seconds)
        what = f"{arch} training step, {precision}, batch {batch:,}"
        peers = [PLAIN, *_PEERS] if precision == "fp32" else [PLAIN, f"{PLAIN}, bf16 autocast"]
        for peer in peers:
            if reason := _reason(peer, turns):
                rows.append(missing(what, "train", peer, reason))
                continue
            note = f"kws failed ({turns.failures[f'kws {precision}']})" if ours is None else ""
            least = _WANTED.get((arch, precision)) if peer == PLAIN else None
            if precision == "bf16" and least and not has_amx(workspace.machine):
                note, least = f"wanted are {least:g} times where the processor has AMX; this one has none", None
            rows.append(
                compared(
                    group="train",
                    what=what,
                    unit="clips/s",
                    ours=ours,
                    against=f"{peer}, fp32" if peer == PLAIN and precision == "bf16" else peer,
                    theirs=turns.samples(peer, lambda seconds: batch / seconds),
                    more_is_better=True,
                    least=least,
                    note=note,
                )
            )
        peak = turns.samples("matrix product", lambda result, precision=precision: result[precision])
        if ours and peak:
            rows.append(_share_row(arch, precision, ours.map(lambda clips: clips * operations / 1e9), peak, operations))
    return rows


def _share_row(arch: str, precision: str, ours: Samples, peak: Samples, operations: int) -> Row:
    """What a step reaches of the peak; a turn in which it was faster than the products raises that turn's peak."""
    reached = Samples(tuple(max(pair) for pair in zip(ours.values, peak.values, strict=False)))
    share = ours.over(reached)
    wanted = _SHARE.get((arch, precision))
    counted = f"{operations / 1e6:.1f} million operations a clip, 2 x (3 x forward - first layer) multiply-accumulates"
    beaten = "; faster than every product that was tried, so that the peak is at least this" if reached != peak else ""
    return Row(
        group="train",
        what=f"{arch} training step, {precision}, operations a second",
        unit="GFLOP/s",
        ours=ours,
        against=f"matrix-product peak, {precision}",
        theirs=reached,
        ratio=share,
        reading="share",
        wanted=f"at least {100 * wanted:.0f} %" if wanted else "",
        holds=share.median >= wanted if wanted else None,
        note=f"{counted}{beaten}",
    )


def _reason(peer: str, turns: Turns) -> str:
    """Why a peer has no figure; "" where it has one."""
    if peer in _PEERS and installed(_PEERS[peer]) is None:
        return "missing: not installed"
    return turns.failures.get(peer, "")


def _cells(arch: str, batch: int, *, quick: bool) -> dict[str, Callable[[], float]]:
    """Each returns the seconds of a step, but the matrix product, which returns its peaks."""
    slow = arch == "cnn"
    common = {"arch": arch, "batch": batch, "clips": 4 * batch if quick else CLIPS}
    few = {"warm": 1, "repeats": 2} if quick else {"warm": 2, "repeats": 5} if slow else {"warm": 5, "repeats": 30}
    fewer = {"warm": 1, "repeats": 1 if quick else 3} if slow else few
    fewest = {"warm": 1, "repeats": 1 if quick else 2} if slow else few
    cells: dict[str, Callable[[], float]] = {
        "kws fp32": lambda: call("steps:ours", precision="fp32", **common, **few),
        PLAIN: lambda: call("peers_torch:plain", **common, **fewer),
        "kws bf16": lambda: call("steps:ours", precision="bf16", **common, **few),
        f"{PLAIN}, bf16 autocast": lambda: call("peers_torch:plain", bf16=True, **common, **fewer),
        "matrix product": lambda: call("machine:peak"),
    }
    if installed("lightning"):
        steps = 2 if quick else 4 if slow else CLIPS // batch
        cells["Lightning"] = lambda: call("peers_lightning:fit", arch=arch, batch=batch, steps=steps)
    if installed("jax"):
        cells["JAX"] = lambda: call("peers_jax:steps", **common, **fewest)
    return cells


def ours(arch: str, precision: str, batch: int, clips: int, warm: int, repeats: int) -> float:
    """The median of the seconds of a step as `kws train` runs it. Runs in a process of its own."""
    import torch

    from kws import architectures
    from kws.speech.dataset import Split
    from kws.training import loop

    recipe = make_recipe(arch, precision=precision, batch_size=batch)
    state = loop.Training.begin(recipe, 3)
    split = Split(torch.randn(clips, architectures.FRAMES, architectures.BANDS), torch.arange(clips) % 3)
    batches = (torch.randperm(clips)[:batch] for _ in range(warm + repeats))
    return statistics.median(
        timed(
            lambda: loop.step(state.model, state.optimizer, split, next(batches), recipe),
            warm=warm,
            repeats=repeats,
        )
    )


def make_recipe(arch: str, *, precision: str = "fp32", batch_size: int = 1024, **more: Any) -> Any:
    """The recipe that `kws train --arch ARCH --opt adam` would have here."""
    from kws.recipe import Recipe

    about = {"batch_size": batch_size, "threads": cores(), "precision": precision}
    return Recipe.of(arch=arch, opt="adam", **about, **more)


def operations(arch: str) -> int:
    """Operations of training on one clip: two a multiply-accumulate. Runs in a process of its own."""
    from kws.training import layers

    network = layers.of_recipe(make_recipe(arch), classes=3)
    return 2 * (3 * network.multiply_accumulates - network.layers[0].multiply_accumulates)
