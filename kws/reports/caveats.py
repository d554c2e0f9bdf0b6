"""Caveats that a reader needs to judge a table: where runs differ in what should be equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kws.recipe import own_options
from kws.registry.runs import Run

_ENVIRONMENT = {
    "kws_version": "versions of kws",
    "torch_version": "versions of PyTorch",
    "cpu": "processors",
    "git_commit": "commits",
}


def notes(runs: Iterable[Run], seeds: Mapping[tuple[str, str], int]) -> tuple[str, ...]:
    """The notes of a table over these runs; empty if all is equal. `seeds` has the number of seeds of each cell."""
    runs = list(runs)
    found = []
    if len(set(seeds.values())) > 1:
        found.append(f"cells have from {min(seeds.values())} to {max(seeds.values())} seeds")
    for each in (each for each in own_options() if each.bits):
        values = {getattr(run.recipe, each.name) for run in runs}
        # What is derived from the network and the minibatch should be equal only among runs that have both in common.
        kinds = {(_derived_from(run) if each.hidden else None, getattr(run.recipe, each.name)) for run in runs}
        if len(kinds) > len({kind for kind, _ in kinds}):
            found.append(f"runs differ in {each.bits}: {', '.join(sorted(map(str, values)))}")
    for field, called in _ENVIRONMENT.items():
        values = {getattr(run.environment, field) for run in runs}
        if len(values) > 1:
            shown = sorted("unknown" if value is None else str(value)[:12] for value in values)
            found.append(f"runs differ in {called}: {', '.join(shown)}")
    known = {extensions for run in runs if (extensions := run.environment.instruction_set)}
    if len(known) > 1:
        found.append("runs differ in the vector extensions of their processors")
    dirty = sum(bool(run.environment.git_dirty) for run in runs)
    if dirty:
        found.append(f"{dirty} of {len(runs)} runs were made by code that differs from its commit")
    unknown = sum(run.environment.git_commit is None for run in runs)
    if unknown == len(runs) and runs:
        found.append("no run knows the commit that made it")
    return tuple(found)


def _derived_from(run: Run) -> tuple[object, ...]:
    return run.recipe.arch, run.recipe.batch_size, run.recipe.precision


def of_times(runs: Iterable[Run]) -> tuple[str, ...]:
    """The note of a table with times whose runs were not trained by the same means; empty if all were."""
    means = {(run.environment.cpu, run.recipe.threads, run.recipe.device) for run in runs}
    if len(means) < 2:
        return ()
    told = sorted(
        f"{threads} thread{'' if threads == 1 else 's'} of {cpu} ({device})" for cpu, threads, device in means
    )
    return (f"times are not comparable where runs differ in processor, threads or device: {'; '.join(told)}",)
