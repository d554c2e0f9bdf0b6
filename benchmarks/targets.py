"""Time to accuracy: a whole `kws train` of a preset, in turns with one epoch of the report's cnn in a plain loop.

- kws: `kws train --preset fast`, `best`, from a finished cache, from before its process starts until it has ended; the
  network, its test and the record in a registry are in it. Each turn has a seed of its own, from 5 on; recipes were
  found with seeds below 5.
- The plain epoch: the 10 steps of 9,489 clips in minibatches of 1,024, Adam, the steps alone, in a process that has
  made two steps before.
- It needs the real clips; on others an accuracy would say nothing.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from typing import Any

from benchmarks.measure import call, environment, run, take_turns
from benchmarks.report import Row, compared, missing
from benchmarks.workspace import Workspace

CLIPS, BATCH = 9_489, 1024
FIRST_SEED = 5
_CELL_SECONDS = 400  # five turns of `fast` and of the plain epoch, and two or three of `best`
_EPOCHS = {"fast": 1.0, "best": 5.0}  # plain epochs in which it is to be done
_TARGET = {"fast": 0.97, "best": 0.0}  # validation accuracy to reach


def measure(workspace: Workspace) -> list[Row]:
    """The rows of both presets."""
    what = {preset: f"a whole `kws train --preset {preset}`" for preset in _EPOCHS}
    if workspace.quick or workspace.real_clips is None:
        return [missing(each, "targets", "a plain PyTorch epoch of the cnn", "no real clips") for each in what.values()]
    data = str(workspace.real_clips)
    call("preparation:prepare", env={"KWS_CACHE": str(workspace.cache)}, folder=data)
    seeds = {preset: iter(range(FIRST_SEED, FIRST_SEED + workspace.rounds)) for preset in _EPOCHS}
    cells: dict[str, Any] = {"plain": lambda: call("targets:plain_epoch")}
    cells |= {preset: lambda preset=preset: _train(workspace, preset, data, next(seeds[preset])) for preset in _EPOCHS}
    turns = take_turns(cells, workspace.rounds, group="targets", cell_seconds=_CELL_SECONDS)
    rows = []
    for preset, most in _EPOCHS.items():
        ours = turns.samples(preset, lambda result: result["seconds"])
        plain = turns.samples("plain", lambda seconds, most=most: seconds * most)
        if ours is None or plain is None:
            rows.append(missing(what[preset], "targets", "a plain epoch", "; ".join(turns.failures.values())))
            continue
        results = turns.results[preset]
        accuracies = ", ".join(f"{100 * each['accuracy']:.2f}" for each in results)
        processor = sorted(each["processor_seconds"] for each in results)[len(results) // 2]
        epochs = f"{most:.0f} epoch{'s' if most > 1 else ''}"
        row = compared(
            group="targets",
            what=what[preset],
            unit="s",
            ours=ours,
            against=f"{epochs} of the cnn in plain PyTorch",
            theirs=plain,
            least=1.0,
            reading="faster",
            note=f"{processor:.0f} processor seconds; validation {accuracies} %, seeds from {FIRST_SEED}",
        )
        reached = all(each["accuracy"] >= _TARGET[preset] for each in results)
        rows.append(replace(row, holds=bool(row.holds) and reached))
    return rows


def plain_epoch() -> float:
    """The seconds of the steps of one epoch; runs in a process of its own."""
    import torch
    from torch.nn.functional import cross_entropy

    from benchmarks.peers_torch import BANDS, CLASSES, FRAMES, network

    model = network("cnn")
    optimizer = torch.optim.Adam(model.parameters())
    features, labels = torch.randn(CLIPS, FRAMES, BANDS), torch.arange(CLIPS) % CLASSES
    model.train()

    def steps(batches: Any) -> float:
        start = time.perf_counter()
        for index in batches:
            optimizer.zero_grad()
            loss = cross_entropy(model(features[index]), labels[index])
            loss.backward()
            optimizer.step()
            loss.item()
        return time.perf_counter() - start

    steps(torch.randperm(CLIPS).split(BATCH)[:2])
    return steps(torch.randperm(CLIPS).split(BATCH))


def _train(workspace: Workspace, preset: str, data: str, seed: int) -> dict[str, float]:
    database = workspace.folder / f"{preset}.db"
    database.unlink(missing_ok=True)
    command = [sys.executable, "-m", "kws", "train", "--preset", preset, "--seed", str(seed), "--data", data]
    about = environment(KWS_CACHE=str(workspace.cache))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    printed = run([*command, "--device", "cpu", "--db", str(database), "--json"], env=about)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "accuracy": json.loads(printed)["validation_accuracy"],
    }
