"""The figures of `kws plot`: one file a kind, and KINDS is the list of them.

A kind's file has a `figure(registry, runs, style)` that returns matplotlib's Figure, and says by MANY whether it is
about all the runs that there are or about those that are named. Adding one is its file and its line here. Nothing heavy
is imported for the list, so that `--help` and completion know it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run
    from kws.reports.drawing import Style

KINDS = {
    "curves": "accuracy and loss over the iteration, of one RUN or several",
    "optimizers": "validation accuracy over epochs, a panel a network",
    "convergence": "epochs needed to reach a validation accuracy",
    "size": "test accuracy over the number of parameters",
    "confusion": "the confusion matrix of one RUN, or of several seeds",
    "det": "misses against false accepts, of one RUN or several",
}


def about_many(kind: str) -> bool:
    """Whether a kind is about all runs there are, so that none need be named."""
    return importlib.import_module(f"{__name__}.{kind}").MANY


def draw(kind: str, registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The figure of these runs. Raises RegistryError where they do not have what it shows."""
    with style.applied():
        return importlib.import_module(f"{__name__}.{kind}").figure(registry, runs, style)
