"""What the figures were made with: processor, versions, commit."""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torture.common import REPOSITORY

_PACKAGES = ("kws", "torch", "numpy", "soundfile", "soxr", "safetensors", "typer")
_SOURCES = ("kws", "torture", ":(exclude)torture/results")


def describe() -> dict[str, Any]:
    """Everything that a figure may depend on."""
    from kws.recipe import cores
    from kws.registry.environment import Environment

    about = Environment.here([])
    return {
        "cpu": about.cpu,
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "python": about.python_version,
        "sqlite": sqlite3.sqlite_version,
        "packages": {package: _installed(package) for package in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "changes": _changes(),
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _changes() -> str | None:
    """Twelve digits that stand for what differs from the commit; None where nothing does."""
    status = _git("status", "--porcelain", "--", *_SOURCES)
    if not status:
        return None
    return hashlib.sha256(f"{status}{_git('diff', 'HEAD', '--', *_SOURCES)}".encode()).hexdigest()[:12]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
