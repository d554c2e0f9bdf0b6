"""Caveats that a reader needs to judge a table: where runs differ in what should be equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from kws.recipe import counted, own_options
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.metrics import Metric

_MACHINES = 4  # that a note names
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
        found.append("no commit is recorded for these runs (kws was not run from a git checkout)")
    return tuple(found)


def _derived_from(run: Run) -> tuple[object, ...]:
    return run.recipe.arch, run.recipe.batch_size, run.recipe.precision


def of_metric(registry: RegistryReader, metric: Metric, runs: Sequence[Run]) -> tuple[str, ...]:
    """The notes that a metric needs: times of different machines, and runs that were ended below its target."""
    found = of_times(registry, runs) if metric.of_time else ()
    if metric.target is not None:
        below = [run for run in runs if run.ended_by == "until" and (run.validation_accuracy or 0.0) < metric.target]
        if below:
            ended = "1 run was ended by its --until" if len(below) == 1 else f"{len(below)} runs were ended by --until"
            found += (
                f"{ended} below {100 * metric.target:g} % validation accuracy and counted as not reaching it, "
                "though longer training might have",
            )
    return found


def of_times(registry: RegistryReader, runs: Iterable[Run]) -> tuple[str, ...]:
    """A note where the times of runs are not those of one machine with as many threads; empty where they are."""
    machines = Counter(_machine(registry, run) for run in runs)
    if len(machines) < 2:
        return ()
    ordered = sorted(machines.items(), key=lambda each: (-each[1], each[0]))
    named = [f"{counted(count, 'run')} on {machine}" for machine, count in ordered[:_MACHINES]]
    more = [f"{len(machines) - _MACHINES} more"] if len(machines) > _MACHINES else []
    return (f"times come from different machines and cannot be compared: {', '.join([*named, *more])}",)


def _machine(registry: RegistryReader, run: Run) -> str:
    processors = " and ".join(registry.processors(run.id))
    gpu = "" if run.recipe.device == "cpu" else f", {run.recipe.device}"
    return f"{processors} with {counted(run.recipe.threads, 'thread')}{gpu}"


def left_out(metric: Metric, runs: Sequence[Run], used: Sequence[Run]) -> tuple[str, ...]:
    """A note of the runs that have no value of a metric; empty where all have one."""
    missing = len(runs) - len(used)
    title = metric.title[0].lower() + metric.title[1:]
    return (f"{missing} of {counted(len(runs), 'run')} left out: {title} is not known",) if missing else ()
