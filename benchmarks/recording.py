"""Recording a run of 50 epochs without its weights: milliseconds, and bytes in the file.

- kws: start(), record() after each epoch, finish() with a byte for the weights. It also keeps 500 losses and accuracies
  of iterations, the answer and the network's outputs on every test clip, the environment, who trained the run and what
  it was tested on, which the peers here do not; so it is measured without the iterations, too. The outputs, 7,374
  bytes, are drawn from all bytes alike and do not compress; a network's own do by 8 %.
- MLflow: log_batch once an epoch with four metrics. Trackio: log once an epoch; see the peers' modules. kws and MLflow
  wait for the disk at each epoch; Trackio hands it to the system without waiting.
- A turn is a process; its figure is the median of its runs, after one to warm up. Bytes a run are what the files grow
  by over many runs, when they have been closed.
"""

from __future__ import annotations

import random
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import ledger
from benchmarks.measure import Samples, call, installed, take_turns
from benchmarks.report import Row, compared, missing
from benchmarks.workspace import Workspace

_OURS, _BARE = "kws", "kws without iterations"
_PEERS = {"MLflow": "mlflow", "Trackio": "trackio"}


def measure(workspace: Workspace) -> list[Row]:
    """The rows of writing to a registry."""
    few, many = (3, 20) if workspace.quick else (10, 200)
    peer_runs = 2 if workspace.quick else 8
    cells: dict[str, Callable[[], dict[str, float]]] = {
        name: lambda iterations=iterations: _turn(
            workspace.folder, "recording:record", few + 1, many, iterations=iterations
        )
        for name, iterations in ((_OURS, True), (_BARE, False))
    }
    if installed("mlflow"):
        cells["MLflow"] = lambda: _turn(workspace.folder, "peers_mlflow:record", 1, peer_runs)
    if installed("trackio"):
        cells["Trackio"] = lambda: _turn(workspace.folder, "peers_trackio:record", 1, peer_runs)
    turns = take_turns(cells, workspace.rounds, group="recording")
    return [
        row
        for what, unit, key, most, least, reading in (
            ("recording a run of 50 epochs without weights", "ms", "milliseconds", 15, 10, "faster"),
            ("a run of 50 epochs in the file, without weights", "bytes", "bytes", 4_096, None, "smaller"),
        )
        for row in _rows(turns, what, unit, key, most, least, reading)
    ]


def _rows(turns: Any, what: str, unit: str, key: str, most: float, least: float | None, reading: str) -> list[Row]:
    def figure(cell: str) -> Samples | None:
        return turns.samples(cell, lambda done: done[key])

    reasons = {peer: "" if installed(package) else "missing: not installed" for peer, package in _PEERS.items()}
    reasons |= turns.failures
    rows = []
    for name in (_OURS, _BARE):
        label = what if name == _OURS else f"{what}, without iterations' curves"
        common: dict[str, Any] = {"group": "recording", "what": label, "unit": unit, "reading": reading}
        if name == _OURS and reasons["MLflow"]:
            rows.append(compared(ours=figure(name), against="", theirs=None, most=most, **common))
        for peer in _PEERS:
            if reasons[peer]:
                rows.append(missing(label, "recording", peer, reasons[peer]))
                continue
            held = {"most": most, "least": least} if name == _OURS and peer == "MLflow" else {}
            rows.append(compared(ours=figure(name), against=peer, theirs=figure(peer), **common, **held))
    return rows


def _turn(folder: Path, function: str, before: int, runs: int, **more: Any) -> dict[str, float]:
    """Record `before` runs and then `runs` more; returns milliseconds and bytes a run of the latter."""
    into = folder / "recording"
    into.mkdir()
    file = {} if "trackio" in function else {"path": str(into / "runs.db")}
    env = {"TRACKIO_DIR": str(into)}
    try:
        call(function, env=env, runs=before, warm=0, **file, **more)
        size = _size(into)
        seconds = call(function, env=env, runs=runs, warm=1, **file, **more)
        return {
            "milliseconds": 1000 * statistics.median(seconds),
            "bytes": (_size(into) - size) / (runs + 1),
        }
    finally:
        shutil.rmtree(into, ignore_errors=True)


def record(path: str, runs: int, warm: int, iterations: bool) -> list[float]:
    """The seconds of recording each of so many runs with kws. Runs in a process of its own."""
    from kws.registry.store import Registry

    draw = random.Random(0)
    with Registry(Path(path), create=True) as registry:
        taken = [ledger.record(registry, number, draw, iterations=iterations) for number in range(warm + runs)]
    return taken[warm:]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
