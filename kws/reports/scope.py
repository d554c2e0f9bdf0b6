"""Scope: the runs that Table 1 is about where nothing else is asked for, and those beside it.

Decisions:
- Table 1 is the report's: its networks and optimizers under its conditions, whatever other options they have. Where a
  registry has such runs, only they are in it, so that recipes of other kinds in the same registry change none of its
  bytes. Where it has none, Table 1 is about all runs there are.
- So it is with the recipes that its caption says to be judged: another recipe cannot be the best of this table, and
  does not count there. A leaderboard has every recipe, and counts every one.
- Whoever chooses rows, columns or runs gets all that was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kws.recipe import KINDS, NETWORK, OPTIMIZER, TASK, Recipe, own_options
from kws.recipe.parts import AUGMENTATION
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run

# Those of report.toml, which this does not wait for; a test holds both to each other.
_PARTS = {NETWORK: {"fc", "cnn"}, OPTIMIZER: {"sgd", "adam"}}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The runs of a table or a figure, the other runs that could have been in it, and the cells of all others.

    `apart` is None where they are not the report's alone, so that every recipe counts.
    """

    runs: tuple[Run, ...]
    others: tuple[Run, ...] = ()
    apart: frozenset[str] | None = None

    @property
    def sentence(self) -> str:
        """How many runs are not in Table 1, and how to see them; empty where none is left out."""
        if not self.others:
            return ""
        runs, recipes = len(self.others), len({run.recipe.cell for run in self.others})
        many = "1 finished run" if runs == 1 else f"{runs:,} finished runs"
        of = "another recipe" if recipes == 1 else f"{recipes:,} other recipes"
        are = f"{many} of {of} {'is' if runs == 1 else 'are'}"
        return f"{are} not in Table 1, which is the report's; `kws compare --leaderboard` ranks every recipe"


def of_the_report(registry: RegistryReader, runs: Iterable[Run]) -> Scope:
    """The runs that Table 1 is about: the report's, or where none of them is finished and tested, all."""
    runs = tuple(runs)
    of_cells: dict[str, bool] = {}  # there are many seeds of few cells

    def is_own(recipe: Recipe) -> bool:
        if recipe.cell not in of_cells:
            of_cells[recipe.cell] = is_of_the_report(recipe)
        return of_cells[recipe.cell]

    own, others = list[Run](), list[Run]()
    for run in runs:
        (own if is_own(run.recipe) else others).append(run)
    if not any(map(_is_tested, own)):
        return Scope(runs=runs)
    return Scope(
        runs=tuple(own),
        others=tuple(filter(_is_tested, others)),
        apart=frozenset(recipe.cell for recipe in registry.recipes() if not is_own(recipe)),
    )


def is_of_the_report(recipe: Recipe) -> bool:
    """Whether a recipe has the report's parts and conditions; options of these parts may have any value."""
    has_parts = all(
        all(map(_is_off, configs)) if kind.several else configs.NAME in _PARTS.get(kind, {kind.default})
        for kind in KINDS
        if kind != TASK  # the data shows which task it is
        for configs in (getattr(recipe, kind.name),)
    )
    return has_parts and all(getattr(recipe, each.name) == each.default for each in own_options() if each.condition)


def _is_off(config: Any) -> bool:
    """Whether an augmentation, each of which is off by default, has its defaults."""
    known = AUGMENTATION.parts.get(config.NAME)
    return known is not None and config.values() == known.config().values()


def _is_tested(run: Run) -> bool:
    return run.status == FINISHED and not run.awaits_test
