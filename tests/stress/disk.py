"""A disk that is full at many points of a run: one sentence says so, and nothing that was there before is harmed.

The disk is a small tmpfs in a mount namespace of its own (`unshare --mount`), which takes Linux and the right to make
one. What happens inside it is in tests.stress.full_disk.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from tests.stress.common import REPOSITORY, Figure, Part, environment, workspace, write_small_task

POINTS, QUICK_POINTS = 20, 3
UNSHARE = ["unshare", "--mount", "--map-root-user"]
_SECONDS = 1_800.0


def possible() -> str | None:
    """None where a disk can be made; else the reason why not, and what it takes."""
    if sys.platform != "linux":
        return "a small disk of one's own takes Linux"
    for program in ("unshare", "mount"):
        if not shutil.which(program):
            return f"`{program}` is missing; install util-linux"
    with tempfile.TemporaryDirectory() as folder:
        command = [*UNSHARE, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return (
            f"unshare and mount of util-linux are there but not allowed ({why[0]}); allow user namespaces, or be root"
        )
    return None


def run(quick: bool) -> Part:
    """Fill the disk and train; returns the figures, or why there are none."""
    part = Part(name="disk")
    if reason := possible():
        part.note(f"not possible: {reason}")
        part.figures.append(Figure(what="points of a run at which the disk was full", value="not possible here"))
        return part
    points = QUICK_POINTS if quick else POINTS
    with workspace("disk") as folder:
        write_small_task(folder / "task")
        answer = folder / "answer.json"
        subprocess.run(
            [*UNSHARE, sys.executable, "-m", "tests.stress.full_disk", str(folder), str(answer), str(points)],
            env=environment(),
            cwd=REPOSITORY,
            timeout=_SECONDS,
            check=True,
        )
        _report(part, json.loads(answer.read_text(encoding="utf-8")), points)
    return part


def _report(part: Part, results: list[dict[str, Any]], points: int) -> None:
    begun = [result for result in results if result["begun"]]
    for result in results:
        for problem in result["problems"]:
            part.note(f"{result['left']} kB left, {result['mode']}: {problem}")
    part.exactly("points of a run at which the disk was full", len(results), points)
    for stage in ("start", "first epochs", "later epochs", "end"):
        part.told(f"of these at its {stage}", sum(result["stage"] == stage for result in results))
    part.exactly("processes killed by a signal", sum(result["code"] < 0 for result in results), 0)
    part.exactly("ends with exit code 1 and one sentence that the disk is full", _count(results, "said"), points)
    part.exactly("tracebacks", sum(result["traceback"] for result in results), 0)
    part.exactly("registries in order when there is space again", _count(results, "intact"), points)
    part.exactly("registries whose earlier runs are as they were", _count(results, "unchanged"), points)
    part.exactly("times that `kws runs list` works", _count(results, "listed"), points)
    part.exactly("runs that had begun and were resumed to the end", _count(begun, "resumed"), len(begun))
    part.exactly("of these the same bits", _count(begun, "same"), len(begun))
    part.details = {"points": results}


def _count(results: list[dict[str, Any]], key: str) -> int:
    return sum(bool(result[key]) for result in results)
