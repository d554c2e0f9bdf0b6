"""Processes, turns and medians: how everything else here is measured.

- call() runs one function in a new Python process and returns what it returns, as JSON.
- wall() runs a command and returns the seconds from before it is started until it has ended.
- take_turns() runs cells one after the other, round after round, so that a drift of the machine meets all alike. A
  cell that fails is dropped and its failure kept; one that has used up its time stops early, with a smaller n.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
CELL_SECONDS = 200  # after that much time in all, a cell has no more turns
TIMEOUT_SECONDS = 240  # of one process

# Peers at their best: no telemetry, no look for a hub, no OpenBLAS kernel chosen by someone else.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "HF_HUB_OFFLINE": "1",
    "JAX_PLATFORMS": "cpu",
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONWARNINGS": "ignore",
}
# Modules are compiled once and kept, as a user's are, also where the environment asks Python to keep none.
_DROPPED = ("OPENBLAS_", "KWS_", "MLFLOW_", "TRACKIO_", "_KWS", "PYTHONDONTWRITEBYTECODE")


class CellError(Exception):
    """A process that failed, or took too long; its text is the reason in a line."""


@dataclass(frozen=True)
class Samples:
    """What a cell gave in its turns."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """Turns."""
        return len(self.values)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    def map(self, function: Callable[[float], float]) -> Samples:
        """The same turns, each value passed through a function."""
        return Samples(tuple(function(value) for value in self.values))

    def over(self, other: Samples) -> Samples:
        """This divided by the other, turn by turn."""
        return Samples(tuple(a / b for a, b in zip(self.values, other.values, strict=False)))

    def minus(self, other: Samples) -> Samples:
        """This less the other, turn by turn."""
        return Samples(tuple(a - b for a, b in zip(self.values, other.values, strict=False)))


@dataclass
class Turns:
    """What the cells of one comparison gave: results by cell, and why a cell has none."""

    results: dict[str, list[Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def samples(self, cell: str, read: Callable[[Any], float] = float) -> Samples | None:
        """A number from each of the cell's turns; None for a cell that failed."""
        results = self.results.get(cell)
        return Samples(tuple(read(result) for result in results)) if results else None


def take_turns(
    cells: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    group: str,
    unit: str = "",
    cell_seconds: float = CELL_SECONDS,
) -> Turns:
    """Run every cell once a round, in the same order."""
    turns = Turns()
    spent = dict.fromkeys(cells, 0.0)
    for number in range(1, rounds + 1):
        for name, cell in cells.items():
            if name in turns.failures or spent[name] * (number / max(number - 1, 1)) > cell_seconds:
                continue
            start = time.perf_counter()
            try:
                result = cell()
            except CellError as error:
                turns.failures[name] = str(error)
                turns.results.pop(name, None)
                say(f"{group}: {name}: {error}")
                continue
            spent[name] += time.perf_counter() - start
            turns.results.setdefault(name, []).append(result)
            shown = f"{result:.4g} {unit}".strip() if isinstance(result, int | float) else f"{spent[name]:.1f} s in all"
            say(f"{group}: {name}: {number}/{rounds}: {shown}")
    return turns


def say(message: str) -> None:
    """A line on stderr."""
    print(message, file=sys.stderr, flush=True)


def environment(**more: str) -> dict[str, str]:
    """The environment of every process that is measured."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
    return kept | _QUIET | {"PYTHONPATH": str(REPOSITORY)} | more


def call(function: str, *, env: Mapping[str, str] | None = None, **arguments: Any) -> Any:
    """What `module:function` of this package returns for these arguments, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        run(
            [sys.executable, "-m", "benchmarks.worker", str(answer), function, json.dumps(arguments)],
            env=environment(**(env or {})),
        )
        return json.loads(answer.read_text(encoding="utf-8"))


def wall(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_seconds: float = TIMEOUT_SECONDS
) -> float:
    """The seconds that a command takes as a whole."""
    about = environment(**(env or {}))
    start = time.perf_counter()
    run(command, env=about, timeout_seconds=timeout_seconds)
    return time.perf_counter() - start


def run(command: Sequence[str], *, env: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """What a command prints until its end. Raises CellError where it fails or takes too long."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout_seconds, check=True)
        return done.stdout
    except subprocess.TimeoutExpired:
        raise CellError(f"took more than {timeout_seconds:g} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["no message"]
        raise CellError(f"failed: {lines[-1][:200]}") from None


def kws_program() -> list[str]:
    """The `kws` that is installed beside this Python."""
    program = Path(sys.executable).with_name("kws")
    return [str(program)] if program.exists() else [sys.executable, "-m", "kws"]


def installed(package: str) -> str | None:
    """A package's version; None where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_megabytes() -> float:
    """The most memory that this process has held at once, mapped files included, in 1e6 bytes."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def timed(work: Callable[[], object], *, warm: int, repeats: int) -> list[float]:
    """The seconds of each of `repeats` calls, after `warm` ones that do not count."""
    seconds = []
    for number in range(warm + repeats):
        start = time.perf_counter()
        work()
        if number >= warm:
            seconds.append(time.perf_counter() - start)
    return seconds
