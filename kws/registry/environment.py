"""Environment: the versions, hardware and code of a run; besides recipe and data, its bits may depend on these.

Standard library only. Neither the machine nor its user is named, because registries are meant to be shared. A folder
appears only as it was typed in the command, and a server's URL in it without the password.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import kws
from kws.registry.location import mask


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions, processor and code. `git_commit` is None if kws does not run from a checkout of its repository."""

    kws_version: str
    python_version: str
    torch_version: str
    platform: str
    cpu: str
    instruction_set: str | None
    git_commit: str | None
    git_dirty: bool | None
    command: str

    @classmethod
    def here(cls, arguments: list[str]) -> Environment:
        """This process's environment; `arguments` is the command line without the program's name."""
        from importlib.metadata import version  # slow to import, and most commands read environments alone

        commit, dirty = _git()
        return cls(
            kws_version=kws.__version__,
            python_version=platform.python_version(),
            torch_version=version("torch"),
            platform=f"{platform.system()} {platform.machine()}",
            cpu=_cpu(),
            instruction_set=_instruction_set(),
            git_commit=commit,
            git_dirty=dirty,
            command=shlex.join(["kws", *map(mask, arguments)]),
        )


def _cpu() -> str:
    """The processor's name; its architecture if the system does not report it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        return output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


# Vector extensions, on x86 and ARM, by which libraries for matrix products and transforms choose their kernels.
_EXTENSIONS = re.compile(r"sse4_2|f16c|fma|avx\w*|amx_\w+|asimd\w*|sve\w*|sme\w*|bf16|i8mm|fphp")


def _instruction_set() -> str | None:
    """The processor's vector extensions in alphabetical order; None if the system does not report them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), None)
    if flags is None and sys.platform == "darwin":
        flags = (output("sysctl", "-n", "machdep.cpu.features") or "").lower() or None
    if flags is None:
        return None
    return " ".join(sorted(flag for flag in set(flags.split()) if _EXTENSIONS.fullmatch(flag)))


def _git() -> tuple[str | None, bool | None]:
    """The commit of the checkout that this package is part of, and whether the package differs from it."""
    package = str(Path(__file__).parent)
    if output("git", "-C", package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = output("git", "-C", package, "rev-parse", "HEAD")
    changes = output("git", "-C", package, "status", "--porcelain", "--", ".")
    return commit, None if changes is None else bool(changes)


def output(*command: str) -> str | None:
    """What a command prints; None if it is missing or fails.

    Git's variables (GIT_DIR, GIT_WORK_TREE ...) are removed: with them, git could report another repository.
    """
    settings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True, env=settings)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
