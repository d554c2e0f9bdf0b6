"""Chooses the executor of a sweep or a search: processes on this machine, or a Ray cluster.

A sweep chooses its executor before it imports or reads anything else, because the executor's first process needs a
second or more to import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.recipe import cores
from kws.sweeps.local_executor import LocalExecutor
from kws.sweeps.plan import Axes
from kws.sweeps.trainer import WorkerConfig

if TYPE_CHECKING:
    from kws.sweeps.scheduler import Executor


def choose(config: WorkerConfig, jobs: int | None, axes: Axes, *, ray: bool, address: str | None) -> Executor:
    """The executor; without `jobs`, it trains as many runs at once as fit on this machine's cores or the cluster's."""
    if not ray:
        return LocalExecutor(jobs or fitting(axes), config)
    from kws.sweeps.ray_executor import RayExecutor

    (threads,), (device,) = axes["threads"], axes["device"]
    if address is None:
        jobs = jobs or fitting(axes)
    return RayExecutor(config, address=address, jobs=jobs, threads=threads, cuda=device == "cuda")


def fitting(axes: Axes) -> int:
    """How many of the plan's runs fit on this machine's cores at once."""
    (threads,) = axes["threads"]
    return max(cores() // threads, 1)
