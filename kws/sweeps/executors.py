"""Who trains a sweep: processes of this machine, or a Ray cluster.

A sweep chooses before it imports and reads anything else, since an executor's first process takes a second and more for
torch alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kws.recipe import cores
from kws.sweeps.local_executor import LocalExecutor
from kws.sweeps.trainer import WorkerConfig

if TYPE_CHECKING:
    from kws.sweeps.scheduler import Executor


def choose(
    config: WorkerConfig, jobs: int | None, axes: Mapping[str, Sequence[Any]], *, ray: bool, address: str | None
) -> Executor:
    """The executor; without `jobs`, for as many runs at once as fit into this machine's cores or the cluster's."""
    if not ray:
        return LocalExecutor(jobs or fitting(axes), config)
    from kws.sweeps.ray_executor import RayExecutor

    (threads,), (device,) = axes["threads"], axes["device"]
    if address is None:
        jobs = jobs or fitting(axes)
    return RayExecutor(config, address=address, jobs=jobs, threads=threads, cuda=device == "cuda")


def fitting(axes: Mapping[str, Sequence[Any]]) -> int:
    """How many of the plan's runs fit into this machine's cores at once."""
    (threads,) = axes["threads"]
    return max(cores() // threads, 1)
