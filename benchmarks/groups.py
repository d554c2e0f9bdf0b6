"""The groups of measurements by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import (
    augmenting,
    comparing,
    coverage,
    detecting,
    detectors,
    first,
    growth,
    many,
    networks,
    preparation,
    recording,
    saturation,
    scheduling,
    startup,
    steps,
    sweeping,
    targets,
    whole_run,
    writing,
)
from benchmarks.report import Row
from benchmarks.workspace import Workspace

GROUPS: dict[str, Callable[[Workspace], list[Row]]] = {
    "first": first.measure,
    "train": steps.measure,
    "augment": augmenting.measure,
    "targets": targets.measure,
    "networks": networks.measure,
    "run": whole_run.measure,
    "features": preparation.measure,
    "full-size": preparation.measure_full_size,
    "startup": startup.measure,
    "registry": comparing.measure,
    "recording": recording.measure,
    "growth": growth.measure,
    "sweep": sweeping.measure,
    "scheduling": scheduling.measure,
    "writers": writing.measure,
    "saturation": saturation.measure,
    "many": many.measure,
    "coverage": coverage.measure,
    "detectors": detectors.measure,
    "inference": detecting.measure,
}
_APART = {
    "first": {"first"},
    "networks": {"networks", "augment", "targets"},
    "sweeps": {"sweep"},
    "scheduling": {"scheduling"},
    "writers": {"writers"},
    "saturation": {"saturation"},
    "many": {"many"},
    "coverage": {"coverage"},
    "inference": {"inference", "detectors"},
}
TABLES = {"latest": GROUPS.keys() - set().union(*_APART.values()), **_APART}  # by file in benchmarks/results
