"""A whole `kws train`, from a finished cache: what is not steps, the way to the first step, and memory.

- The share that is not steps: of the time from the beginning of the first step until the process has ended.
  Validation, recording, progress, the test split, the weights and the end of the interpreter all count. The fc run has
  50 epochs; the cnn run has 3 and is carried on to 50: every epoch costs what those between the first step and the last
  one did, and what comes after the last step comes once.
- The way to the first step: from before the process is started until its first step begins, less `import torch`.
- Memory: the most that the process held (a training of the cnn, 1 epoch), less the most of a process that imports torch
  and multiplies two small matrices. Mapped files, the features among them, count.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Samples, Turns, call, environment, run, take_turns
from benchmarks.report import Row, compared
from benchmarks.workspace import Workspace

EPOCHS = 50
_LIMITS = {"cnn": 0.05, "fc": 0.25}


def measure(workspace: Workspace) -> list[Row]:
    """The rows of whole runs."""
    measured = {"cnn": 2 if workspace.quick else 3, "fc": 5 if workspace.quick else EPOCHS}
    batch = 64 if workspace.quick else 1024
    cells = {
        f"{arch}, {epochs} epochs": lambda arch=arch, epochs=epochs: train(workspace, arch, epochs, batch)
        for arch, epochs in measured.items()
    }
    cells["cnn, 1 epoch"] = lambda: train(workspace, "cnn", 1, batch)
    cells["torch alone"] = lambda: call("peers_torch:torch_alone")
    cells["plain PyTorch, memory"] = lambda: call(
        "peers_torch:plain_memory", arch="cnn", batch=batch, clips=576 if workspace.quick else 9_489
    )
    turns = take_turns(cells, workspace.rounds, group="run")
    rows = [_share_row(arch, epochs, turns) for arch, epochs in measured.items()]
    return [*rows, *_start_and_memory(turns)]


def train(
    workspace: Workspace,
    arch: str,
    epochs: int,
    batch: int = 1024,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    words: str | None = None,
) -> dict[str, Any]:
    """Run `kws train --opt adam` on the clips; returns the report of benchmarks.traced, and when it began and ended."""
    data, cache = data or workspace.clips, cache or workspace.cache
    database, report = workspace.folder / "train.db", workspace.folder / "traced.json"
    command = [sys.executable, "-m", "benchmarks.traced", str(report), "train", "--arch", arch, "--opt", "adam"]
    command += ["--epochs", str(epochs), "--batch-size", str(batch), "--data", str(data), "--db", str(database)]
    command += ["--device", "cpu", *(["--words", words] if words else [])]
    about = environment(KWS_CACHE=str(cache))
    begin = time.monotonic()
    run(command, env=about)
    end = time.monotonic()
    database.unlink(missing_ok=True)
    return json.loads(report.read_text(encoding="utf-8")) | {"begin": begin, "end": end, "epochs": epochs}


def rest_share(traced: dict[str, Any], epochs: int) -> float:
    """The share that is not steps of a run of so many epochs, carried on from the one that was traced."""
    steps = traced["steps"]
    each = sum(end - begin for begin, end in steps) / traced["epochs"]
    first, last = steps[0][0], steps[-1][1]
    between = (last - first - each * traced["epochs"]) / max(traced["epochs"] - 1, 1)
    rest = between * (epochs - 1) + traced["end"] - last
    return rest / (rest + each * epochs)


def _share_row(arch: str, epochs: int, turns: Turns) -> Row:
    what = f"{arch}, a whole `kws train` of {EPOCHS} epochs: what is not training steps"
    share = turns.samples(f"{arch}, {epochs} epochs", lambda traced: rest_share(traced, EPOCHS))
    if share is None:
        return Row(group="run", what=what, note=next(iter(turns.failures.values()), ""))
    note = "all 50 epochs were run"
    if epochs != EPOCHS:
        own = turns.samples(f"{arch}, {epochs} epochs", lambda traced: rest_share(traced, traced["epochs"]))
        note = f"carried on from {epochs} epochs, of which {100 * own.median:.1f} % were not steps" if own else ""
    limit = _LIMITS[arch]
    return Row(
        group="run",
        what=what,
        unit="%",
        ours=share.map(lambda value: 100 * value),
        wanted=f"under {100 * limit:.0f} %",
        holds=share.median < limit,
        note=note,
    )


def _start_and_memory(turns: Turns) -> list[Row]:
    way = turns.samples("cnn, 1 epoch", lambda traced: traced["steps"][0][0] - traced["begin"] - traced["torch_import"])
    kws = turns.samples("cnn, 1 epoch", lambda traced: traced["peak_megabytes"])
    plain, alone = turns.samples("plain PyTorch, memory"), turns.samples("torch alone")
    return [
        compared(
            group="run",
            what="from a finished cache to the first training step, `import torch` aside",
            unit="s",
            ours=way,
            against="",
            theirs=None,
            most=0.5,
            note="the whole process counts, Python's own start included",
        ),
        compared(
            group="run",
            what="memory above torch itself, training the cnn",
            unit="MB",
            ours=_above(kws, alone),
            against="plain PyTorch, steps alone",
            theirs=_above(plain, alone),
            most=600,
            reading="smaller",
            note="the most that a process held, features and mapped files included, less that of torch alone",
        ),
    ]


def _above(samples: Samples | None, alone: Samples | None) -> Samples | None:
    return samples.minus(alone) if samples and alone else None
