"""What the figures were made with: processor, versions, commit."""

from __future__ import annotations

import os
import platform
import sqlite3
from typing import Any

from benchmarks.measure import installed
from benchmarks.source import changes, git

_PACKAGES = ("kws", "torch", "numpy", "soundfile", "soxr", "safetensors", "typer")
_SOURCES = ("kws", "tests/stress", ":(exclude)tests/stress/results")


def describe() -> dict[str, Any]:
    """Everything that a figure may depend on."""
    from kws.recipe import cores
    from kws.registry.environment import Environment

    about = Environment.here([])
    return {
        "cpu": about.cpu,
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "python": about.python_version,
        "sqlite": sqlite3.sqlite_version,
        "packages": {package: installed(package) for package in _PACKAGES},
        "commit": git("rev-parse", "HEAD"),
        "changes": changes(_SOURCES),
    }
