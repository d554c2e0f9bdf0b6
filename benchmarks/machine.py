"""The machine: processor, versions of everything, commit, and what a product of large matrices reaches.

The peak is the fastest of several products, as kws.training.profile measures it, in fp32 and bf16.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.measure import CellError, call, cores, installed, say
from benchmarks.source import changes, git

PACKAGES = ("kws", "torch", "numpy", "lightning", "jax", "librosa", "kaldi-native-fbank", "mlflow", "trackio")
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")
_SOURCES = ("kws", "benchmarks", ":(exclude)benchmarks/results")


def describe() -> dict[str, Any]:
    """Everything that a figure may depend on."""
    say("machine: a product of large matrices")
    try:
        peaks = call("machine:peak")
    except CellError as error:
        peaks = {}
        say(f"machine: {error}")
    return {
        "cpu": _cpu("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "threads": cores(),
        "flags": [flag for flag in _FLAGS if flag in (_cpu("flags") or "").split()],
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {package: installed(package) for package in PACKAGES},
        "commit": git("rev-parse", "HEAD"),
        "changes": changes(_SOURCES),
        "peak_gflops": {precision: round(value, 1) for precision, value in peaks.items()},
    }


def has_amx(machine: dict[str, Any]) -> bool:
    """Whether the processor has AMX for bfloat16."""
    return "amx_bf16" in machine["flags"]


def peak() -> dict[str, float]:
    """1e9 operations a second of a matrix product, by precision. Runs in a process of its own."""
    import torch

    from kws.training import profile

    torch.set_num_threads(cores())
    return {precision: profile.peak_gflops(precision) for precision in ("fp32", "bf16")}


def _cpu(field: str) -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(field):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return None


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        return None
