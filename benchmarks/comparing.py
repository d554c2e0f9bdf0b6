"""`kws compare` and `kws runs list`, whole processes over 1,000 runs of 50 epochs, beside MLflow and Trackio.

kws is timed as its user types it: with intervals and a test of which cells can be told from the best, on runs whose
cells differ and whose seeds and clips are the same, so that there is something to compare. The peers have neither.
MLflow is asked in two ways, and the faster one is what kws is held against: four queries that each return the best run
of a network and optimizer, or all runs at once and their means by hand. Output goes nowhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import peers_mlflow, peers_trackio
from benchmarks.measure import CellError, Turns, call, environment, installed, kws_program, run, say, take_turns, wall
from benchmarks.report import Row, compared, missing
from benchmarks.workspace import Workspace

COMPARE = "compare"
_ASKED = {  # what kws is asked: what the peers are asked, by cell
    COMPARE: (
        "MLflow, the best of each by query",
        "MLflow, all runs and means by hand",
        "Trackio, SQL by hand",
    ),
    "runs list": ("MLflow, all runs", "Trackio, list runs"),
}
_PACKAGES = {"MLflow": "mlflow", "Trackio": "trackio"}


def measure(workspace: Workspace) -> list[Row]:
    """The rows of reading a registry."""
    runs = 100 if workspace.quick else 1_000
    database = str(workspace.registry(runs))
    require_compared(database)
    cells: dict[str, Callable[[], float]] = {
        f"kws {command}": lambda command=command: wall([*kws_program(), *command.split(), "--db", database])
        for command in _ASKED
    }
    unbuilt: dict[str, str] = {}
    for peer, add in (("MLflow", _mlflow), ("Trackio", _trackio)):
        try:
            if installed(_PACKAGES[peer]):
                cells |= add(workspace.folder, runs)
            else:
                unbuilt[peer] = "missing: not installed"
        except CellError as error:
            unbuilt[peer] = str(error)
            say(f"registry: {peer}: {error}")
    turns = take_turns(cells, workspace.rounds, group="registry", unit="s")
    return [row for command in _ASKED for row in _rows(command, runs, turns, unbuilt)]


def require_compared(database: str) -> None:
    """Raise CellError where `kws compare` has nothing to compare in a registry: its time would be of something else."""
    answer = json.loads(run([*kws_program(), COMPARE, "--format", "json", "--db", database], env=environment()))
    if not compared_cells(answer):
        raise CellError(f"`kws {COMPARE}` has nothing to compare in {database}")


def compared_cells(answer: dict[str, Any]) -> list[str]:
    """The cells that were tested against the best of their table, in what `kws compare --format json` says."""
    return [
        f"{cell['row']}, {cell['column']}"
        for table in answer["tables"]
        for cell in table["cells"]
        if table["tested"] and not cell["best"] and cell["p"] is not None
    ]


def _rows(command: str, runs: int, turns: Turns, unbuilt: dict[str, str]) -> list[Row]:
    what = f"`kws {command}` over {runs:,} runs of 50 epochs, whole process"
    ours = turns.samples(f"kws {command}")
    measured = {peer: samples for peer in _ASKED[command] if (samples := turns.samples(peer))}
    mlflow = [peer for peer in measured if peer.startswith("MLflow")]
    fastest = min(mlflow, key=lambda peer: measured[peer].median, default=None)
    rows = []
    for number, peer in enumerate(_ASKED[command]):
        if peer not in measured:
            reason = unbuilt.get(peer.partition(",")[0]) or turns.failures.get(peer, "no figure")
            rows.append(missing(what, "registry", peer, reason))
            continue
        held = peer == fastest or (fastest is None and number == 0)
        limits = {"most": 0.5, "least": 5.0} if held else {}
        row = compared(group="registry", what=what, unit="s", ours=ours, against=peer, theirs=measured[peer], **limits)
        rows.append(row)
    if fastest is None:
        rows.insert(0, compared(group="registry", what=what, unit="s", ours=ours, against="", theirs=None, most=0.5))
    return rows


def _mlflow(folder: Path, runs: int) -> dict[str, Callable[[], float]]:
    path = str(folder / f"mlflow-{runs}.db")
    say(f"MLflow: recording {runs:,} runs")
    call("peers_mlflow:build", path=path, runs=runs)
    asked = (peers_mlflow.BEST, peers_mlflow.ALL, peers_mlflow.LIST)
    names = (*_ASKED[COMPARE][:2], _ASKED["runs list"][0])
    return {
        name: lambda program=program: wall([sys.executable, "-c", program, peers_mlflow.uri(path)])
        for name, program in zip(names, asked, strict=True)
    }


def _trackio(folder: Path, runs: int) -> dict[str, Callable[[], float]]:
    into = str(folder / f"trackio-{runs}")
    say(f"Trackio: recording {runs:,} runs")
    call("peers_trackio:build", env={"TRACKIO_DIR": into}, folder=into, runs=runs)
    program = str(Path(sys.executable).with_name("trackio"))
    project = ["--project", peers_trackio.PROJECT]
    asked = (["query", "project", *project, "--sql", peers_trackio.BEST], ["list", "runs", *project])
    names = (_ASKED[COMPARE][2], _ASKED["runs list"][1])
    return {
        name: lambda command=command: wall([program, *command], env={"TRACKIO_DIR": into})
        for name, command in zip(names, asked, strict=True)
    }
