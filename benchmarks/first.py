"""The first minutes: a fresh clone, `make train` and `make test`, typed as a newcomer does, in a terminal.

Packages come from the index that pip uses here, so the installation takes what this machine and its network take.
Caches are new. The screen is watched: how long it stood still at the longest counts from the first key pressed.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import re
import resource
import select
import struct
import subprocess
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import REPOSITORY, Samples
from benchmarks.report import Row
from benchmarks.workspace import Workspace

_GROUP = "first"
_COLUMNS = 80
_LONGEST = 3600


@dataclass
class Watched:
    """What a command showed: pieces of output with the second at which each came, and how the command ended."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    seconds: float = 0.0
    code: int = -1

    @property
    def stillest(self) -> float:
        """The longest time in seconds without any output."""
        times = [0.0, *(when for when, _ in self.pieces), self.seconds]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def when(self, text: bytes) -> float | None:
        """The second at which a text had been shown; None if it was not."""
        shown = b""
        for when, piece in self.pieces:
            shown += piece
            if text in shown:
                return when
        return None


def watch(command: list[str], folder: Path, environment: dict[str, str]) -> Watched:
    """Run a command in a terminal of 80 columns and note when it shows what."""
    watched = Watched()
    start = time.monotonic()
    child, terminal = pty.fork()
    if not child:
        os.chdir(folder)
        os.execvpe(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, _COLUMNS, 0, 0))
    while time.monotonic() - start < _LONGEST:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        watched.pieces.append((time.monotonic() - start, piece))
    watched.code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    watched.seconds = time.monotonic() - start
    os.close(terminal)
    return watched


def measure(workspace: Workspace) -> list[Row]:
    """The rows of the first minutes."""
    clone, cache = workspace.folder / "fresh", workspace.folder / "fresh-cache"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("KWS_DB", "PYTHONPATH")}
    environment |= {"KWS_CACHE": str(cache), "TERM": "xterm-256color"}
    train = watch(["make", "install"] if workspace.quick else ["make", "train"], clone, environment)
    if train.code:
        raise RuntimeError(f"make ended with {train.code}: {b''.join(piece for _, piece in train.pieces)[-500:]!r}")
    installed = train.when(b"kws compare") or train.seconds
    rows = [
        _row("`make train` in a fresh clone: packages are installed after", "s", installed),
        _row("`make train` in a fresh clone: the screen stands still for at most", "s", train.stillest, most=2),
        _row("disk after it: the clone with .venv, and caches", "MB", _megabytes(clone) + _megabytes(cache)),
    ]
    if workspace.quick:
        return rows
    table = train.when(b"Table 1")
    if table is None:
        raise RuntimeError("`make train` printed no Table 1")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    test = watch(["make", "test"], clone, environment)
    return [
        rows[0],
        _row("from there to the first table", "s", table - installed, most=60),
        _row("from there to the end: the network is trained, and its table is there", "s", train.seconds - installed),
        *rows[1:],
        _row("memory of its largest process", "MB", memory),
        _row("`make test` after it", "s", test.seconds, most=120, note=_failed(test) if test.code else ""),
    ]


def _failed(test: Watched) -> str:
    """Which tests failed, by what pytest printed on its terminal."""
    printed = re.sub(rb"\x1b\[[\d;]*m", b"", b"".join(piece for _, piece in test.pieces))
    names = [name.decode() for name in re.findall(rb"^(?:FAILED|ERROR) (\S+)", printed, re.MULTILINE)]
    return f"failed: {', '.join(names) or f'make ended with {test.code}'}"


def _row(what: str, unit: str, value: float, *, most: float | None = None, note: str = "") -> Row:
    wanted = "" if most is None else f"at most {most:g} {unit}"
    holds = None if most is None else value <= most and not note
    return Row(group=_GROUP, what=what, unit=unit, ours=Samples((value,)), wanted=wanted, holds=holds, note=note)


def _megabytes(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6
