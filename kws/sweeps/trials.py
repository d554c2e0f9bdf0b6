"""Runs a search's trials on this machine's worker processes until the registry has as many as wanted.

Several searches may run under one tag. Each counts the runs of the others' processes as trials of its own, and waits
for them. It polls them until they have ended or can be taken over, as in kws.sweeps.scheduler.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kws.errors import KwsError
from kws.recipe import Recipe, counted
from kws.registry.location import Location
from kws.registry.process import SILENT_SECONDS
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, RUNNING, Run
from kws.registry.selection import Selection
from kws.reports.labels import of_trial
from kws.sweeps.local_executor import LocalExecutor
from kws.sweeps.progress import SweepProgress
from kws.sweeps.scheduler import DEATHS, LOOK_SECONDS, Ended
from kws.sweeps.search import Search, Space, has_ended, was_given_up
from kws.sweeps.trainer import DIED, REFUSED, Task, as_task
from kws.terminal import console

if TYPE_CHECKING:
    from optuna.trial import Trial

_LOOK_AGAIN_SECONDS = 1.0


@dataclass
class _Open:
    """A trial that has not ended: its recipe, the last epoch reported to the search, and how often its process died.

    If another process trains the trial, `sign` is the last sign of life of that process, `since` is when the sign last
    changed, and `due` is when to poll the trial again.
    """

    trial: Trial
    recipe: Recipe
    told: int = 0
    deaths: int = 0
    elsewhere: bool = False
    sign: str | None = None
    since: float = field(default_factory=time.monotonic)
    due: float = 0.0


class Trials:
    """A search's trials; runs with its tag that come from other ranges or other clips do not count."""

    def __init__(self, executor: LocalExecutor, search: Search, db: Location, tag: str, fingerprint: str) -> None:
        self._executor, self._search, self._db, self._tag, self._fingerprint = executor, search, db, tag, fingerprint
        self._open: dict[int, _Open] = {}
        self._cut_off: deque[Recipe] = deque()
        self._ended = 0

    def until(self, wanted: int) -> None:
        """Run trials until there are `wanted`, or every recipe was tried. Raises KwsError if a worker cannot work."""
        listed = self._search.space.listed()
        for _ in self._look():
            pass
        there, again = self._ended, len(self._cut_off)
        about = f"{there:,} there, {again:,} to resume" if there or again else "none there yet"
        about += f", {len(self._open):,} that other processes train" if self._open else ""
        console.say(f"search {self._tag}: {counted(wanted, 'trial')} ({about}), {self._executor.jobs} at once")
        if listed is not None and len(listed) < wanted:
            many = counted(len(listed), "recipe")
            console.say(f"note: these ranges and values hold {many}; no more can be tried than that")
            wanted = len(listed)
        with SweepProgress(max(wanted - there, 0), self._db, of_trial) as shown:
            while True:
                wanted = self._begin(wanted, shown)
                if not self._open and self._ended >= wanted:
                    return
                for task, result in self._executor.results(LOOK_SECONDS):
                    if ended := self._take(task, result):
                        shown.ended(ended)
                for ended in self._look_elsewhere():
                    shown.ended(ended)
                others = sum(one.elsewhere for one in self._open.values())
                shown.waiting = f"waiting for {others} that other processes train" if others else ""
                shown.passed()

    def _begin(self, wanted: int, shown: SweepProgress) -> int:
        """Start as many trials as there is room for; returns how many are wanted, fewer if no recipe is left."""
        while self._ended + len(self._open) < wanted and self._executor.room() > 0:
            for ended in self._look():
                shown.ended(ended)
            if self._ended + len(self._open) >= wanted:
                break
            begun = self._search.begin(self._cut_off.popleft() if self._cut_off else None)
            if begun is None:
                console.say("note: no recipe could be drawn that was not tried; give wider ranges for more trials")
                return self._ended + len(self._open)
            trial, recipe = begun
            self._open[trial.number] = _Open(trial, recipe)
            self._submit(trial.number)
            shown.expect(recipe)
        return wanted

    def _look(self) -> Iterable[Ended]:
        """Add the runs with the tag that the search does not know yet; yields those that have ended."""
        with RegistryReader(self._db) as registry:
            for run in of_search(registry.runs(Selection(tags=(self._tag,))), self._search.space, self._fingerprint):
                recipe = replace(run.recipe, data=self._search.space.fixed["data"])
                if self._search.has(recipe) or recipe in self._cut_off:
                    continue
                if has_ended(run):
                    self._search.add(run, registry.validation_accuracies(run.id))
                    self._ended += 1
                    yield _shown(recipe, run, elsewhere=True)
                elif run.status == RUNNING:
                    begun = self._search.begin(recipe)
                    assert begun
                    self._open[begun[0].number] = _Open(*begun, elsewhere=True)
                else:
                    self._cut_off.append(recipe)

    def _look_elsewhere(self) -> Iterable[Ended]:
        """The trials of other processes that have ended; submits the others again while there is room."""
        now = time.monotonic()
        for number, one in list(self._open.items()):
            if not one.elsewhere or one.due > now:
                continue
            one.due = now + _LOOK_AGAIN_SECONDS
            with RegistryReader(self._db) as registry:
                run = self._run_of(registry, one.recipe)
                if run and has_ended(run):
                    yield self._end(number, run, registry)
                    continue
            if self._executor.room() > 0:
                one.elsewhere = False
                self._submit(number, silent=one.sign if now - one.since > SILENT_SECONDS else None)

    def _submit(self, number: int, silent: str | None = None) -> None:
        told: dict[str, Any] = {"at": number, "tags": [self._tag], "epochs_told": True, "silent": silent}
        self._executor.submit(as_task(self._open[number].recipe, do="train", **told))

    def _take(self, task: Task, result: dict[str, Any]) -> Ended | None:
        """Handle a worker's message: reply to a reported epoch, or return how the trial ended if it did."""
        number = task["at"]
        one = self._open[number]
        if "epoch" in result:
            self._executor.reply(task, go_on=not self._gives_up(one, result))
            return None
        if result["status"] == REFUSED:
            raise KwsError(result["error"])
        if result["status"] != DIED and result.get("run") is None:
            raise KwsError(f"{of_trial(one.recipe)}: {result['error']}")
        if result["status"] != DIED:
            with RegistryReader(self._db) as registry:
                run = registry.by_id(result["run"])
                if has_ended(run):
                    return self._end(number, run, registry, elsewhere=bool(result.get("before")))
            if run.status == RUNNING:
                self._leave(one, result.get("sign"))
                return None
        one.deaths += 1  # its process died, or another process resumed it and was stopped
        if one.deaths == DEATHS:
            raise KwsError(f"{of_trial(one.recipe)}: its process died {DEATHS} times")
        self._submit(number)
        return None

    def _leave(self, one: _Open, sign: str | None) -> None:
        """Leave a trial to the process that trains it."""
        now = time.monotonic()
        if sign != one.sign or sign is None:
            one.sign, one.since = sign, now
        one.elsewhere, one.due = True, now + _LOOK_AGAIN_SECONDS

    def _end(self, number: int, run: Run, registry: RegistryReader, *, elsewhere: bool = True) -> Ended:
        one = self._open.pop(number)
        self._ended += 1
        self._search.end(one.trial, run, registry.validation_accuracies(run.id))
        return _shown(one.recipe, run, elsewhere=elsewhere)

    def _gives_up(self, one: _Open, result: dict[str, Any]) -> bool:
        epoch = result["epoch"]
        if one.told < epoch - 1:  # resumed: the epochs before the interruption count, too
            for earlier, accuracy in enumerate(self._known(one)[one.told : epoch - 1], one.told + 1):
                self._search.gives_up(one.trial, earlier, accuracy)
        if epoch <= one.told:  # repeated after its process died
            return False
        one.told = epoch
        return self._search.gives_up(one.trial, epoch, result["validation_accuracy"])

    def _known(self, one: _Open) -> Sequence[float]:
        with RegistryReader(self._db) as registry:
            run = self._run_of(registry, one.recipe)
            return registry.validation_accuracies(run.id) if run else []

    def _run_of(self, registry: RegistryReader, recipe: Recipe) -> Run | None:
        """The run of a trial, if it has started."""
        runs = of_search(registry.runs(Selection(tags=(self._tag,))), self._search.space, self._fingerprint)
        alike = [run for run in runs if self._search.space.key(run.recipe) == self._search.space.key(recipe)]
        return alike[-1] if alike else None


def of_search(runs: Iterable[Run], space: Space, fingerprint: str) -> list[Run]:
    """The runs of a tag that belong to the search: on its clips, with recipes in its space, one run per recipe."""
    found: dict[tuple[Any, ...], Run] = {}
    for run in runs:
        if run.data_fingerprint == fingerprint and space.holds(run.recipe):
            known = found.get(space.key(run.recipe))
            if known is None or known.status != FINISHED:
                found[space.key(run.recipe)] = run
    return list(found.values())


def state(run: Run) -> str:
    """A trial's status: "given up" if it was pruned, otherwise its run's status."""
    return "given up" if was_given_up(run) else run.status


def _shown(recipe: Recipe, run: Run, *, elsewhere: bool) -> Ended:
    told = {"validation_accuracy": run.validation_accuracy, "seconds": run.seconds, "error": run.error}
    return Ended(recipe=recipe, result={"status": state(run), "run": run.id, "before": elsewhere, **told})
