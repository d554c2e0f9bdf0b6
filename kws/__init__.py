"""kws: keyword spotting experiments that can be trusted, every run in one SQLite file.

For Python programs, kws.open(registry) gives DataFrames and kws.load(registry, run) a detector; see docs/notebook.md.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes a tenth of the time of `kws --help`
if TYPE_CHECKING:
    from typing import Any

    from kws.api.experiments import Experiments as Experiments
    from kws.api.experiments import load as load
    from kws.api.experiments import open as open  # noqa: A004 - read as kws.open
    from kws.inference.detector import Detector as Detector

__version__ = "0.1.0"

# By default Python looks for cycles after 700 new objects, again and again through all that PyTorch brings along: a
# third of the time of listing 12,000 clips.
ALLOCATIONS = 200_000

_PUBLIC = {
    "open": "kws.api.experiments",
    "load": "kws.api.experiments",
    "Experiments": "kws.api.experiments",
    "Detector": "kws.inference.detector",
}


def __getattr__(name: str) -> Any:
    """What Python programs use, imported when it is asked for: the command line does not wait for it."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kws' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
