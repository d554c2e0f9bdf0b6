"""The figures of `kws plot`: one module per kind, and KINDS lists them.

The module of a kind has a `figure(registry, runs, style)` that returns matplotlib's Figure. Its MANY says whether the
kind shows all runs or only those that are named. To add a kind, add its module and its line here. The list imports
nothing heavy, so that `--help` and completion can use it.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run
    from kws.reports.drawing import Style

KINDS = {
    "curves": "accuracy and loss over the iteration, of one RUN or several",
    "optimizers": "validation accuracy over epochs, one panel per network",
    "convergence": "epochs needed to reach a validation accuracy",
    "size": "test accuracy over the number of parameters",
    "time": "validation accuracy over training seconds, to --target",
    "confusion": "the confusion matrix of one RUN, or of several seeds",
    "det": "misses against false accepts, of one RUN or several",
}

OF_TABLE_1 = ("optimizers", "convergence")  # whose runs are those of Table 1, unless others are chosen


def about_many(kind: str) -> bool:
    """Whether a kind shows all runs, so that none need be named."""
    return importlib.import_module(f"{__name__}.{kind}").MANY


def takes_target(kind: str) -> bool:
    """Whether a kind draws the way to a validation accuracy, its `target`."""
    return "target" in inspect.signature(importlib.import_module(f"{__name__}.{kind}").figure).parameters


def draw(kind: str, registry: RegistryReader, runs: list[Run], style: Style, *, target: float | None = None) -> Figure:
    """The figure of these runs; `target` is for kinds that take one.

    Raises RegistryError if they do not have what it shows.
    """
    more = {} if target is None else {"target": target}
    with style.applied():
        return importlib.import_module(f"{__name__}.{kind}").figure(registry, runs, style, **more)
