"""Caveats that a reader needs to judge a table: where runs differ in what should be equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

from kws.recipe import counted, own_options
from kws.recipe.config import Option
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
_LOOKED_AT = (*_ENVIRONMENT, "instruction_set", "git_dirty")


def notes(runs: Sequence[Run], seeds: Mapping[tuple[str, str], int]) -> tuple[str, ...]:
    """The notes of a table over these runs; empty if all is equal. `seeds` has the number of seeds of each cell."""
    bits = [each for each in own_options() if each.bits]
    of_recipe = attrgetter("cell", *(each.name for each in bits))
    of_environment = attrgetter(*_LOOKED_AT)
    kinds: dict[tuple[object, ...], tuple[Run, int]] = {}  # runs that are alike in all of this: there are few kinds
    # Runs whose recipes differ in the seed share an object.
    alike = [(id(run.recipe.of_any_seed), id(run.environment)) for run in runs]
    one_of = dict(zip(alike, runs, strict=True))
    for each, count in Counter(alike).items():
        run = one_of[each]
        key = of_recipe(run.recipe), of_environment(run.environment)
        known, many = kinds.get(key, (run, 0))
        kinds[key] = known, many + count
    return tuple(_notes(bits, seeds, [*kinds.values()]))


def _notes(
    bits: Iterable[Option], seeds: Mapping[tuple[str, str], int], kinds: Sequence[tuple[Run, int]]
) -> Iterator[str]:
    """The notes of so many runs of each kind."""
    runs, count = [run for run, _ in kinds], sum(many for _, many in kinds)
    if len(set(seeds.values())) > 1:
        yield f"cells have from {min(seeds.values())} to {max(seeds.values())} seeds"
    for each in bits:
        values = {getattr(run.recipe, each.name) for run in runs}
        # What is derived from the network and the minibatch should be equal only among runs that have both in common.
        pairs = {(_derived_from(run) if each.hidden else None, getattr(run.recipe, each.name)) for run in runs}
        if len(pairs) > len({derived for derived, _ in pairs}):
            yield f"runs differ in {each.bits}: {', '.join(sorted(map(str, values)))}"
    for field, called in _ENVIRONMENT.items():
        values = {getattr(run.environment, field) for run in runs}
        if len(values) > 1:
            shown = sorted("unknown" if value is None else str(value)[:12] for value in values)
            yield f"runs differ in {called}: {', '.join(shown)}"
    known = {extensions for run in runs if (extensions := run.environment.instruction_set)}
    if len(known) > 1:
        yield "runs differ in the vector extensions of their processors"
    dirty = sum(many for run, many in kinds if run.environment.git_dirty)
    if dirty:
        yield f"{dirty} of {count} runs were made by code that differs from its commit"
    unknown = sum(many for run, many in kinds if run.environment.git_commit is None)
    if unknown == count and runs:
        yield "no commit is recorded for these runs (kws was not run from a git checkout)"


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
    compared = tuple(runs)
    processors = registry.processors(compared)
    machines = Counter(_machine(processors[run.id], run) for run in compared)
    if len(machines) < 2:
        return ()
    ordered = sorted(machines.items(), key=lambda each: (-each[1], each[0]))
    named = [f"{counted(count, 'run')} on {machine}" for machine, count in ordered[:_MACHINES]]
    more = [f"{len(machines) - _MACHINES} more"] if len(machines) > _MACHINES else []
    return (f"times come from different machines and cannot be compared: {', '.join([*named, *more])}",)


def _machine(processors: Sequence[str], run: Run) -> str:
    gpu = "" if run.recipe.device == "cpu" else f", {run.recipe.device}"
    return f"{' and '.join(processors)} with {counted(run.recipe.threads, 'thread')}{gpu}"


def left_out(metric: Metric, runs: Sequence[Run], used: Sequence[Run]) -> tuple[str, ...]:
    """A note of the runs that have no value of a metric; empty where all have one."""
    missing = len(runs) - len(used)
    title = metric.title[0].lower() + metric.title[1:]
    return (f"{missing} of {counted(len(runs), 'run')} left out: {title} is not known",) if missing else ()
