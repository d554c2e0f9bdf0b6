"""The line of recipes on their way to an executor's processes, until each has ended.

A recipe whose process died goes back to its head, DEATHS times at most. One that a process of somebody else trains is
asked for again and again, until it is finished or can be taken over: at once where its process is seen to be gone, and
where that cannot be seen, for it is on another machine, when it has given no sign for SILENT_SECONDS of our own clock.
What is waited for is said.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from kws.errors import KwsError
from kws.recipe import Recipe
from kws.registry.process import SILENT_SECONDS, Watch
from kws.registry.runs import FAILED, RUNNING
from kws.sweeps.trainer import DIED, REFUSED, Result, Task, as_task
from kws.terminal import console

DEATHS = 5
LOOK_SECONDS = 0.25
_ASK_AGAIN_SECONDS = 1.0


class Executor(Protocol):
    """Processes that work on tasks (see kws.sweeps.trainer), here or elsewhere."""

    @property
    def jobs(self) -> int:
        """How many runs it trains at once."""

    @property
    def where(self) -> str:
        """Where that is, as " on 2 nodes of Ray"; "" for this machine."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End all processes; runs at hand end as interrupted."""

    def room(self) -> int:
        """How many more tasks can be taken now."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def results(self, seconds: float) -> list[tuple[Task, Result]]:
        """The tasks answered within so many seconds, with status DIED where the process died."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A recipe of the plan that has ended, and how."""

    recipe: Recipe
    result: Result


@dataclass
class _Other:
    """A run that somebody else's process trains, when to ask again, and its last sign where it cannot be seen."""

    task: Task
    run: str
    sign: str | None
    last_seen: str | None
    silent: float
    due: float = field(default_factory=lambda: time.monotonic() + _ASK_AGAIN_SECONDS)


@dataclass
class Scheduler:
    """Recipes to train, on data with these fingerprints by (data, words).

    `elsewhere` is how many others train now, and `unseen` says of each of those that cannot be seen from here, by its
    run's id, when it gave its last sign and in how many seconds it is gone on with if it gives no other.
    """

    executor: Executor
    plan: Sequence[Recipe]
    fingerprints: Mapping[tuple[str, tuple[str, ...]], str]
    elsewhere: int = 0
    unseen: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def ended(self) -> Iterator[Ended | None]:
        """Each recipe as it ends, and None whenever some time has passed. Raises KwsError where nobody can work."""
        left = deque(
            as_task(recipe, do="train", at=i, fingerprint=self.fingerprints[recipe.data, recipe.words])
            for i, recipe in enumerate(self.plan)
        )
        others: dict[int, _Other] = {}
        watch = Watch()
        deaths: dict[int, int] = {}
        asked = 0
        while left or others or asked:
            now = time.monotonic()
            for other in others.values():
                if other.due <= now and self.executor.room() > len(left):  # never before what is surely left to do
                    silent = other.sign if other.sign and other.silent > SILENT_SECONDS else None
                    left.append({**other.task, "silent": silent})
                    other.due = float("inf")
            while left and self.executor.room() > 0:
                self.executor.submit(left.popleft())
                asked += 1
            self._tell(others)
            for task, result in self.executor.results(LOOK_SECONDS):
                asked -= 1
                at, status = task["at"], result["status"]
                if status == REFUSED:
                    raise KwsError(result["error"])
                if status == DIED:
                    deaths[at] = deaths.get(at, 0) + 1
                    if deaths[at] < DEATHS:
                        left.appendleft(task)
                        continue
                    result = {"status": FAILED, "run": None, "error": f"its process died {DEATHS} times"}
                if status == RUNNING:
                    sign, run = result["sign"], result["run"]
                    others[at] = _Other(task, run, sign, result.get("last_seen"), watch.seconds(at, sign))
                    continue
                others.pop(at, None)
                watch.forget(at)
                self._tell(others)
                yield Ended(recipe=self.plan[at], result=result)
            yield None

    def _tell(self, others: Mapping[int, _Other]) -> None:
        self.elsewhere = len(others)
        unseen = {other.run: other for other in others.values() if other.sign}
        self.unseen = {
            run: (other.last_seen or "", max(SILENT_SECONDS - other.silent, 0.0)) for run, other in unseen.items()
        }


def result_of(executor: Executor, what: str, recipe: Recipe) -> Result:
    """Ask one process something and wait for it. Raises KwsError where it refuses, or always dies."""
    executor.submit(as_task(recipe, do=what))
    return wait(executor)


def wait(executor: Executor) -> Result:
    """The result of the only task that was submitted, after saying what it tells.

    Raises KwsError where the process refuses, or always dies.
    """
    for death in range(DEATHS):
        while not (found := executor.results(LOOK_SECONDS)):
            pass
        ((task, result),) = found
        if result.get("status") in (REFUSED, FAILED):
            raise KwsError(result["error"])
        if result.get("status") != DIED:
            for told in result.get("told", ()):
                console.say(console.visible(told))
            return result
        if death + 1 < DEATHS:
            executor.submit(task)
    raise KwsError(f"the sweep's first process died {DEATHS} times before any run; try `kws train` for one of them")
