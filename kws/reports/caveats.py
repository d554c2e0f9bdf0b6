"""What a reader must know to trust a table: where runs differ in what should be equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kws.registry.runs import Run

# What may change bits, or a little more, and is neither a row, a column nor a condition; and how it is called.
_SHOULD_BE_EQUAL = {
    "threads": "numbers of threads",
    "slice_size": "slice sizes",
    "device": "devices",
}
_ENVIRONMENT = {
    "kws_version": "versions of kws",
    "torch_version": "versions of PyTorch",
    "cpu": "processors",
    "git_commit": "commits",
}


def notes(runs: Iterable[Run], seeds: Mapping[tuple[str, str], int]) -> tuple[str, ...]:
    """The notes of a table over these runs, whose cells have so many seeds each; none where all is equal."""
    runs = list(runs)
    found = []
    if len(set(seeds.values())) > 1:
        found.append(f"cells have from {min(seeds.values())} to {max(seeds.values())} seeds")
    for field, called in _SHOULD_BE_EQUAL.items():
        values = {getattr(run.recipe, field) for run in runs}
        # A network has its own slices; there, only runs of one network should be equal.
        kinds = {(run.recipe.arch if field == "slice_size" else "", getattr(run.recipe, field)) for run in runs}
        if len(kinds) > len({kind for kind, _ in kinds}):
            found.append(f"runs differ in {called}: {', '.join(sorted(map(str, values)))}")
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
