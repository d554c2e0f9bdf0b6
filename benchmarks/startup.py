"""Start-up: commands as a user types them, whole processes, beside `python -c pass`, `import torch` and the peers.

Those that read are asked about the registry that kws ships, 175 runs that really are compared. `kws ui` is timed from
before its process starts until a browser has the first page. What is wanted in seconds is wanted of a machine on which
`python -c pass` takes 0.02 s. Where that takes longer, so may the command, by the same factor.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.comparing import require_compared
from benchmarks.measure import (
    REPOSITORY,
    TIMEOUT_SECONDS,
    CellError,
    Samples,
    environment,
    installed,
    kws_program,
    take_turns,
    wall,
)
from benchmarks.report import Row, compared, missing
from benchmarks.workspace import Workspace

_PEERS = ("mlflow", "trackio")
_HELP, _UI, _SUMMARY = "--help", "ui", "summary --arch cnn"
_PASS, _TORCH = "`python -c pass`", "`import torch`"
_MOST_SECONDS = {_HELP: 0.06, "runs list": 0.4, "compare": 0.5, _UI: 1.5, "report": 2.0}
_PASS_SECONDS = 0.02
_MOST_TIMES = {_SUMMARY: 1.3}  # of what stands beside it


def measure(workspace: Workspace) -> list[Row]:
    """The rows of start-up."""
    registry = workspace.folder / "experiments.db"
    shutil.copyfile(REPOSITORY / "experiments.db", registry)  # reading one leaves files beside it
    require_compared(str(registry))
    cells = commands(workspace.folder, registry)
    turns = take_turns(cells, 5 if workspace.quick else 11, group="startup", unit="s")
    rows = []
    for command in (*_MOST_SECONDS, *_MOST_TIMES):
        what, beside = _what(command), _TORCH if command in _MOST_TIMES else _PASS
        if reason := turns.failures.get(command) or turns.failures.get(beside):
            rows.append(missing(what, "startup", beside, reason))
            continue
        rows.append(_row(command, what, beside, turns.samples(command), turns.samples(beside)))
    return [*rows, *_peers(workspace, cells[_HELP])]


def commands(folder: Path, registry: Path) -> dict[str, Callable[[], float]]:
    """What is timed, by its name; each call gives the seconds of one process."""
    on = ["--db", str(registry)]
    typed = {
        _HELP: [_HELP],
        "runs list": ["runs", "list", *on],
        "compare": ["compare", *on],
        "report": ["report", str(folder / "report.html"), *on],
        _SUMMARY: _SUMMARY.split(),
    }
    found: dict[str, Callable[[], float]] = {
        name: lambda words=words: wall([*kws_program(), *words]) for name, words in typed.items()
    }
    return found | {
        _UI: lambda: first_page(registry),
        _PASS: lambda: wall([sys.executable, "-c", "pass"]),
        _TORCH: lambda: wall([sys.executable, "-c", "import torch"]),
    }


def first_page(registry: Path) -> float:
    """The seconds from the start of `kws ui` until its page has arrived. Raises CellError where none does."""
    command = [*kws_program(), _UI, "--port", "0", "--db", str(registry)]
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            said = process.stderr.readline()
            url = said.split(" ")[0]
            if not url.startswith("http://"):
                raise CellError(f"failed: {said.strip() or 'it ended without a word'}")
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                page = answer.read()
            seconds = time.perf_counter() - start
        except OSError as error:
            raise CellError(f"failed: {error}") from None
        finally:
            process.terminate()
    if b"</html>" not in page:
        raise CellError("failed: its page is not whole")
    return seconds


def _what(command: str) -> str:
    if command == _HELP:
        return "`kws --help`, whole process"
    if command == _UI:
        return "`kws ui` until its first page is there"
    return f"`kws {command}`, whole process" + (" over the registry that kws ships" if command != _SUMMARY else "")


def _row(command: str, what: str, against: str, ours: Samples | None, theirs: Samples | None) -> Row:
    seconds, times = _MOST_SECONDS.get(command), _MOST_TIMES.get(command)
    ratio = ours.over(theirs) if ours and theirs else None
    held, limit, wanted = ratio, times or 0.0, f"at most {times:g} times" if times else ""
    if seconds and theirs:
        held, limit = ours, seconds * max(theirs.median / _PASS_SECONDS, 1.0)
        wanted = f"at most {seconds:g} s where {_PASS} takes {_PASS_SECONDS:g} s"
    return Row(
        group="startup",
        what=what,
        unit="s",
        ours=ours,
        against=against,
        theirs=theirs,
        ratio=ratio,
        reading="times",
        wanted=wanted,
        holds=held.median <= limit if held else None,
    )


def _peers(workspace: Workspace, help_of_kws: Callable[[], float]) -> list[Row]:
    """The peers' own `--help` beside that of kws."""
    what = _what(_HELP)
    there = {peer: [str(Path(sys.executable).with_name(peer)), "--help"] for peer in _PEERS if installed(peer)}
    cells: dict[str, Callable[[], float]] = {"kws": help_of_kws}
    cells |= {peer: lambda command=command: wall(command) for peer, command in there.items()}
    turns = take_turns(cells, workspace.rounds, group="startup", unit="s")
    rows = []
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
