"""Plan status: which runs of a plan the registry has, in which order the rest is trained, and a time estimate for it.

Before the data is read, runs are matched by the name of their data, which is all that --dry-run uses. Afterwards they
are matched by the data's fingerprint. The estimate is the mean time per epoch of finished runs with the same network,
data and number of threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from kws.recipe import Recipe
from kws.registry.claims import Known, PlanReader
from kws.registry.location import Location
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.reports import labels
from kws.terminal.console import visible

NEW = "new"
_ABOUT = {
    FINISHED: "finished", RUNNING: "running elsewhere", INTERRUPTED: "to resume", FAILED: "failed before",
    NEW: "new",
}  # fmt: skip
_ORDER = (INTERRUPTED, FAILED, NEW, RUNNING)  # resume first; runs of others last: they may finish meanwhile
_NAMED = 40  # a longer plan is not listed run by run
Fingerprints = Mapping[tuple[Any, ...], str]  # by Recipe.data_key
Kind = tuple[str, str, int]  # what runs of the same speed have in common


@dataclass(frozen=True, kw_only=True)
class PlanStatus:
    """A plan; for each recipe its equal runs on any data, the furthest first, and the one of them that counts."""

    plan: Sequence[Recipe]
    alike: Sequence[Sequence[Known]]
    found: Sequence[Known | None]
    seconds_an_epoch: Mapping[Kind, float]  # of finished runs
    tell: Callable[[Recipe], str]  # the label of a recipe in this plan
    fingerprints: Fingerprints = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Sequence[Recipe], db: Location | None) -> PlanStatus:
        """The status of a plan in the registry (None: there is no registry yet), matched by the names of its data."""
        known: dict[str, list[Known]] = {}
        if db:
            with PlanReader(db) as registry:
                known = registry.known()
        alike = [known.get(recipe.digest, []) for recipe in plan]
        found = [next((run for run in runs if run.data == r.data), None) for r, runs in zip(plan, alike, strict=True)]
        each = _seconds_an_epoch(run for runs in known.values() for run in runs)
        return cls(plan=plan, alike=alike, found=found, seconds_an_epoch=each, tell=labels.of_plan(plan))

    def on(self, fingerprints: Fingerprints) -> PlanStatus:
        """The same plan, matched by the data's fingerprints."""
        found = []
        for recipe, runs in zip(self.plan, self.alike, strict=True):
            fingerprint = fingerprints[recipe.data_key]
            found.append(next((run for run in runs if run.fingerprint == fingerprint), None))
        return replace(self, found=found, fingerprints=fingerprints)

    def state(self, at: int) -> str:
        """The status of a recipe's run, or NEW if there is none; a lost run counts as interrupted."""
        run = self.found[at]
        return NEW if run is None else INTERRUPTED if run.status == LOST else run.status

    @cached_property
    def _states(self) -> list[str]:
        return [self.state(at) for at in range(len(self.plan))]

    def left(self, *, retry: bool) -> list[Recipe]:
        """The recipes to train or wait for, in the order of training."""
        states = self._states
        wanted = [at for at, state in enumerate(states) if state != FINISHED and (retry or state != FAILED)]
        return [self.plan[at] for at in sorted(wanted, key=lambda at: _ORDER.index(states[at]))]

    def untimed(self, *, retry: bool) -> dict[Kind, Recipe]:
        """One recipe of each remaining kind of which no run has finished yet."""
        return {kind(recipe): recipe for recipe in self.left(retry=retry) if kind(recipe) not in self.seconds_an_epoch}

    def seconds(self, recipe: Recipe, more: Mapping[Kind, float]) -> float | None:
        """The estimated seconds of a run; None if its kind was never timed."""
        each = self.seconds_an_epoch.get(kind(recipe), more.get(kind(recipe)))
        return None if each is None else recipe.epochs * each

    def estimate(self, jobs: int, more: Mapping[Kind, float], *, retry: bool) -> float | None:
        """The estimated seconds of the rest with `jobs` runs at once; None if a kind of run was never timed."""
        seconds = [self.seconds(recipe, more) for recipe in self.left(retry=retry)]
        known = [each for each in seconds if each is not None]
        if len(known) < len(seconds):
            return None
        return max(sum(known) / jobs, *known) if known else 0.0

    def lines(self, jobs: int, where: str) -> list[str]:
        """The plan in one sentence, then one line per run if there are not too many."""
        counts = Counter(self._states)
        parts = ", ".join(f"{counts[state]:,} {about}" for state, about in _ABOUT.items() if counts[state])
        runs = "1 run" if len(self.plan) == 1 else f"{len(self.plan):,} runs"
        told = [f"plan: {runs} ({parts}), {jobs:,} at once{where}"]
        if len(self.plan) <= _NAMED:
            for at, recipe in enumerate(self.plan):
                run = self.found[at]
                seen = f", last seen at {run.last_seen}" if run and run.last_seen else ""
                told.append(f"  {self.tell(recipe)}: {f'run {run.id}, ' if run else ''}{_ABOUT[self.state(at)]}{seen}")
        return [visible(told[0]), *(f"  {visible(line)}" for line in told[1:])]


def kind(of: Recipe | Known) -> Kind:
    """The properties that are assumed to decide the time of an epoch."""
    return of.arch, of.data, of.threads


def _seconds_an_epoch(runs: Iterable[Known]) -> dict[Kind, float]:
    sums: dict[Kind, tuple[float, int]] = {}
    for run in runs:
        if run.status == FINISHED:
            seconds, epochs = sums.get(of := kind(run), (0.0, 0))
            sums[of] = seconds + run.seconds, epochs + run.epochs_done
    return {of: seconds / epochs for of, (seconds, epochs) in sums.items() if epochs}
