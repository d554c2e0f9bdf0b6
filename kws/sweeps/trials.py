"""Runs a search's trials on an executor until the registry has as many as wanted.

Any number of processes may search under one tag, on one machine or on several; together they run the trials wanted:

- A trial's number is its place among the runs with the tag. It gets that place when a process claims its recipe, which
  is one transaction (kws.registry.claims). A claim is refused if the recipe is taken, or if the tag has as many runs
  as wanted. So no trial is trained twice, and none is one too many.
- Before it draws a recipe, a process adds the runs of all others to its own study, those that still train among them.
  A draw that is refused is forgotten, and drawn anew from what is known then.
- A process draws no recipe ahead of a free worker, since one that is drawn later knows more.
- A trial whose process was stopped or killed is resumed by whoever has room first. Those that train elsewhere are
  polled until they have ended or can be taken over, as in kws.sweeps.scheduler.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kws.errors import KwsError, UnavailableError
from kws.recipe import Recipe, counted
from kws.registry.claims import NOT_BEGUN
from kws.registry.location import Location
from kws.registry.patience import SECONDS
from kws.registry.process import SILENT_SECONDS, Watch
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED, FINISHED, RUNNING, Run
from kws.registry.selection import Selection
from kws.reports.labels import of_trial
from kws.sweeps.progress import SweepProgress, Waiting
from kws.sweeps.scheduler import DEATHS, LOOK_SECONDS, Ended, Executor, are_silent
from kws.sweeps.search import Search, Space, has_ended, was_given_up
from kws.sweeps.trainer import DIED, REFUSED, Result, Task, as_task
from kws.terminal import console

if TYPE_CHECKING:
    from optuna.trial import Trial

_LOOK_AGAIN_SECONDS = 1.0


@dataclass
class _Open:
    """A trial that has not ended: its recipe, and how often its process died.

    If another process trains it, `run` is its run, `last_seen` and `silent` describe its last sign of life if that
    process cannot be seen from here, and `due` is when to claim the trial again; `cut_off` is whether that process was
    stopped or killed.
    """

    trial: Trial
    recipe: Recipe
    deaths: int = 0
    elsewhere: bool = False
    cut_off: bool = False
    run: str = ""
    sign: str | None = None
    last_seen: str | None = None
    silent: float = 0.0
    due: float = 0.0


@dataclass
class Trials:
    """A search's trials; runs with its tag that come from other ranges or other clips do not count.

    It gives up once the registry has been away for `patience` seconds. For `elsewhere` and `unseen` see
    kws.sweeps.progress.WaitsForOthers.
    """

    executor: Executor
    search: Search
    db: Location
    tag: str
    fingerprint: str
    patience: float = SECONDS
    elsewhere: int = 0
    unseen: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._cut_off: deque[Recipe] = deque()
        self._ended = self._wanted = 0
        self._others = 0  # runs with the tag that are none of the search
        self._watch = Watch()
        self._unread: list[tuple[Task, Result]] = []  # results whose runs could not be read, as the registry is away
        self._away: float | None = None  # since when

    def until(self, wanted: int) -> None:
        """Run trials until there are `wanted`, or every recipe was tried. Raises KwsError if a worker cannot work."""
        listed = self.search.space.listed()
        for _ in self._look():
            pass
        there, again = self._ended, len(self._cut_off)
        about = f"{there:,} there, {again:,} to resume" if there or again else "none there yet"
        about += f", {len(self._open):,} that other processes train" if self._open else ""
        at_once = f"{self.executor.jobs} at once{self.executor.where}"
        console.say(f"search {self.tag}: {counted(wanted, 'trial')} ({about}), {at_once}")
        if listed is not None and len(listed) < wanted:
            many = counted(len(listed), "recipe")
            console.say(f"note: these ranges and values hold {many}; no more can be tried than that")
            wanted = len(listed)
        self._wanted = wanted
        waiting = Waiting()
        silent = partial(are_silent, self.executor)
        with SweepProgress(max(wanted - there, 0), self.db, of_trial, tells_away=silent) as shown:
            while True:
                self._begin(shown)
                if not self._open and self._ended >= self._wanted:
                    return
                results, self._unread = [*self._unread, *self.executor.results(LOOK_SECONDS)], []
                for line in self.executor.news():
                    shown.note(line)
                for task, result in results:
                    self._take(task, result, shown)
                self._ask_again(shown)
                self._describe_others()
                waiting.tell(self, shown)
                shown.passed()

    def _room(self) -> int:
        """How many more trials can begin now."""
        submitted = sum(not one.elsewhere for one in self._open.values())
        return min(self.executor.room(), self.executor.jobs - submitted)

    def _lacking(self) -> bool:
        """Whether there are fewer trials than wanted, as far as is known."""
        return self._ended + len(self._open) < self._wanted

    def _begin(self, shown: SweepProgress) -> None:
        """Resume and draw as many trials as there is room for; fewer are wanted if no recipe is left."""
        while self._room() > 0 and self._lacking():
            self._look_and_show(shown)
            stopped = next((number for number, one in self._open.items() if one.cut_off), None)
            if stopped is not None:
                self._submit(stopped)
                continue
            if not self._lacking():
                return
            begun = self.search.begin(self._cut_off.popleft() if self._cut_off else None)
            if begun is None:
                console.say("note: no recipe could be drawn that was not tried; give wider ranges for more trials")
                self._wanted = self._ended + len(self._open)
                return
            trial, recipe = begun
            self._open[trial.number] = _Open(trial, recipe)
            self._submit(trial.number)
            shown.expect(recipe)

    def _look_and_show(self, shown: SweepProgress) -> None:
        with suppress(UnavailableError):  # whoever trains waits for the registry, and says so
            for ended in self._look():
                shown.ended(ended)
        for one in self._open.values():
            shown.expect(one.recipe)

    def _look(self) -> Iterator[Ended]:
        """Learn what other processes have done; yields those of their trials that have ended."""
        space = self.search.space
        numbers = {space.key(one.recipe): number for number, one in self._open.items()}
        with RegistryReader(self.db) as registry:
            tagged = registry.runs(Selection(tags=(self.tag,)))
            runs = of_search(tagged, space, self.fingerprint)
            self._others = len(tagged) - len(runs)
            for run in runs:
                recipe = replace(run.recipe, data=space.fixed["data"])
                number = numbers.get(space.key(recipe))
                if number is not None:
                    one = self._open[number]
                    if one.elsewhere and has_ended(run):
                        yield self._end(number, run, registry.validation_accuracies(run.id))
                    else:
                        one.cut_off = one.elsewhere and run.status != RUNNING
                elif self.search.has(recipe) or recipe in self._cut_off:
                    continue
                elif has_ended(run):
                    self.search.add(run, registry.validation_accuracies(run.id))
                    self._ended += 1
                    yield _shown(recipe, run, elsewhere=True)
                elif run.status == RUNNING:
                    begun = self.search.begin(recipe)
                    assert begun
                    self._open[begun[0].number] = _Open(*begun, elsewhere=True, run=run.id)
                else:
                    self._cut_off.append(recipe)

    def _ask_again(self, shown: SweepProgress) -> None:
        """Look at the trials of other processes, and claim them again while there is room."""
        now = time.monotonic()
        due = [number for number, one in self._open.items() if one.elsewhere and one.due <= now]
        if not due:
            return
        self._look_and_show(shown)
        for number in due:
            if one := self._open.get(number):
                one.due = now + _LOOK_AGAIN_SECONDS
                if self._room() > 0 and (one.cut_off or not self._lacking()):
                    self._submit(number)

    def _submit(self, number: int) -> None:
        """Have a trial claimed and trained."""
        one = self._open[number]
        silent = one.sign if one.elsewhere and one.silent > SILENT_SECONDS else None
        one.elsewhere = one.cut_off = False
        about: dict[str, Any] = {"at": number, "fingerprint": self.fingerprint, "silent": silent}
        about |= {"tags": [self.tag], "most": self._wanted + self._others, "medians": self.search.medians()}
        self.executor.submit(as_task(one.recipe, do="train", **about))

    def _take(self, task: Task, result: Result, shown: SweepProgress) -> None:
        """Handle a worker's result: the trial has ended, or another process trains it, or it is to be tried again."""
        number, status = task["at"], result["status"]
        one = self._open[number]
        for told in result.pop("notes", ()):
            shown.note(told)
        if status == REFUSED:
            raise KwsError(result["error"])
        if status == NOT_BEGUN:
            self._open.pop(number)
            self.search.drop(one.trial, one.recipe)
            shown.forget(one.recipe)
            return
        if status != DIED and result.get("run") is None:
            raise KwsError(f"{of_trial(one.recipe)}: {result['error']}")
        if status != DIED:
            try:
                run, accuracies = self._read(result["run"])
            except UnavailableError:
                self._unread.append((task, result))
                now = time.monotonic()
                self._away = self._away or now
                if now - self._away > self.patience:
                    raise
                return
            self._away = None
            if status == FAILED and run.status == RUNNING:  # its worker has given it up, and could not record that
                run = replace(run, status=FAILED, error=result["error"])
            if status == FAILED and not has_ended(run):  # its checkpoint cannot be read, and might be later
                raise KwsError(f"{of_trial(one.recipe)}: {result['error']}")
            if has_ended(run):
                shown.ended(self._end(number, run, accuracies, elsewhere=bool(result.get("before"))))
                return
            if run.status == RUNNING:
                self._leave(task, result)
                return
        one.deaths += 1  # its process died, or another process resumed it and was stopped
        if one.deaths == DEATHS:
            raise KwsError(f"{of_trial(one.recipe)}: its process died {DEATHS} times")
        self._submit(number)

    def _read(self, run_id: str) -> tuple[Run, list[float]]:
        with RegistryReader(self.db) as registry:
            return registry.by_id(run_id), registry.validation_accuracies(run_id)

    def _leave(self, task: Task, result: Result) -> None:
        """Leave a trial to the process that trains it."""
        number = task["at"]
        one = self._open[number]
        one.elsewhere, one.run, one.due = True, result["run"], time.monotonic() + _LOOK_AGAIN_SECONDS
        one.sign, one.last_seen = result.get("sign"), result.get("last_seen")
        if task.get("silent"):  # as in Scheduler.ended()
            self._watch.forget(number)
        one.silent = self._watch.seconds(number, one.sign)

    def _describe_others(self) -> None:
        others = [one for one in self._open.values() if one.elsewhere]
        self.elsewhere = len(others)
        self.unseen = {
            one.run: (one.last_seen or "", max(SILENT_SECONDS - one.silent, 0.0)) for one in others if one.sign
        }

    def _end(self, number: int, run: Run, accuracies: Sequence[float], *, elsewhere: bool = True) -> Ended:
        one = self._open.pop(number)
        self._watch.forget(number)
        self._ended += 1
        self.search.end(one.trial, run, accuracies)
        return _shown(one.recipe, run, elsewhere=elsewhere)


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
    """A trial's status: "pruned" if it was, otherwise its run's status."""
    return "pruned" if was_given_up(run) else run.status


def _shown(recipe: Recipe, run: Run, *, elsewhere: bool) -> Ended:
    told = {"validation_accuracy": run.validation_accuracy, "seconds": run.seconds, "error": run.error}
    return Ended(recipe=recipe, result={"status": state(run), "run": run.id, "before": elsewhere, **told})
