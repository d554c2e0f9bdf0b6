"""Start-up: the whole process of `kws --help` beside `python -c pass` and the peers' own `--help`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import installed, kws_program, take_turns, wall
from benchmarks.report import Row, compared, missing
from benchmarks.workspace import Workspace

_PEERS = ("mlflow", "trackio")


def measure(workspace: Workspace) -> list[Row]:
    """The rows of start-up."""
    what = "`kws --help`, whole process"
    cells: dict[str, Callable[[], float]] = {
        "kws": lambda: wall([*kws_program(), "--help"]),
        "python": lambda: wall([sys.executable, "-c", "pass"]),
    }
    short = take_turns(cells, 5 if workspace.quick else 21, group="startup", unit="s")
    ours, bare = short.samples("kws"), short.samples("python")
    times = ours.over(bare) if ours and bare else None
    row = Row(
        group="startup",
        what=what,
        unit="s",
        ours=ours,
        against="`python -c pass`",
        theirs=bare,
        ratio=times,
        reading="times",
        wanted="at most 0.15 s, at most 2.5 times",
        holds=ours.median <= 0.15 and times.median <= 2.5 if ours and times else None,
    )
    there = {peer: [str(Path(sys.executable).with_name(peer)), "--help"] for peer in _PEERS if installed(peer)}
    cells = {"kws": cells["kws"]} | {peer: lambda command=command: wall(command) for peer, command in there.items()}
    turns = take_turns(cells, workspace.rounds, group="startup", unit="s")
    rows = [row]
    for peer in _PEERS:
        if reason := turns.failures.get(peer, "" if peer in there else "missing: not installed"):
            rows.append(missing(what, "startup", f"`{peer} --help`", reason))
            continue
        theirs = turns.samples(peer)
        rows.append(
            compared(
                group="startup",
                what=what,
                unit="s",
                ours=turns.samples("kws"),
                against=f"`{peer} --help`",
                theirs=theirs,
            )
        )
    return rows
