"""What runs are called on the page: by recipe, as in the leaderboard, so that no two recipes look the same.

Decisions:
- A recipe is named among those on the same data, and its data only where a recipe on other data has that name. So a
  preset keeps its plain name, whatever else was trained on other words.
- A seed is one of many of a recipe, and so a run's label ends with its id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from kws.registry.runs import Run
from kws.reports import labels

Namer = Callable[[Run], str]


def recipes(runs: Iterable[Run]) -> Namer:
    """A function that says what a run's recipe is called: two runs share a name only if they are of one cell and data.

    Runs of one cell are those that differ in nothing but their seeds, and in what decides bits alone.
    """
    firsts = {(run.recipe.cell, run.data_source, run.data_fingerprint): run for run in runs}
    by_data: dict[tuple[str, str], list[Run]] = {}
    for run in firsts.values():
        by_data.setdefault((labels.data_of(run), run.data_fingerprint), []).append(run)
    sources = Counter(source for source, _ in by_data)
    of_data = {key: labels.of_cells([run.recipe for run in group]) for key, group in by_data.items()}
    taken = Counter(name for key, group in by_data.items() for name in {of_data[key](run.recipe) for run in group})
    found: dict[tuple[str, str, str], str] = {}
    for (source, fingerprint), group in by_data.items():
        on = source if sources[source] == 1 else f"{source} [{fingerprint[:8]}]"
        for run in group:
            name = of_data[source, fingerprint](run.recipe)
            key = run.recipe.cell, run.data_source, run.data_fingerprint
            found[key] = name if taken[name] == 1 else f"{name}, on {on}"
    return lambda run: found[run.recipe.cell, run.data_source, run.data_fingerprint]


def called(run: Run, recipe: str) -> str:
    """The label of a run whose recipe is called so, as a legend has it."""
    return f"{recipe}, seed {run.recipe.seed}{f', {run.name}' if run.name else ''} [{run.id}]"
