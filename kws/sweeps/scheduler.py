"""The scheduler submits a plan's recipes to an executor until each has ended.

- If a worker dies, its recipe goes back to the head of the queue. A recipe fails once DEATHS workers have died on it.
- A recipe that a process outside this sweep is training is submitted again and again, until its run has finished or can
  be taken over. A run can be taken over at once if its process is known to be gone. If its process cannot be seen,
  because it is on another machine, the run can be taken over after SILENT_SECONDS without a sign of life, by our own
  clock.
- The scheduler reports which runs it is waiting for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

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
    """Processes that carry out tasks (see kws.sweeps.trainer), here or elsewhere."""

    @property
    def jobs(self) -> int:
        """How many runs it can train at once."""

    @property
    def where(self) -> str:
        """Where it trains, as " on 2 nodes of Ray"; "" for this machine."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(self, *_: object) -> None:
        """Stop all processes; current runs end as interrupted."""

    def room(self) -> int:
        """How many more tasks can be submitted now."""

    def submit(self, task: Task) -> None:
        """Submit a task."""

    def news(self) -> list[str]:
        """What happened since this was asked last that who waits for the runs wants to know."""

    def results(self, seconds: float) -> list[tuple[Task, Result]]:
        """The tasks whose results arrive within `seconds`; the status is DIED if the process died."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A recipe of the plan that has ended, and how."""

    recipe: Recipe
    result: Result


@dataclass
class _Other:
    """A run that a process outside this sweep trains.

    `due` is when to submit its task again. `sign` is its last sign of life if its process cannot be seen, and `silent`
    is for how many seconds that sign has not changed.
    """

    task: Task
    run: str
    sign: str | None
    last_seen: str | None
    silent: float
    due: float = field(default_factory=lambda: time.monotonic() + _ASK_AGAIN_SECONDS)


@dataclass
class Scheduler:
    """Recipes to train, and the fingerprints of their data by Recipe.data_key.

    `elsewhere` counts the runs that processes outside this sweep are training now. `unseen` describes those of them
    whose process cannot be seen from here, by run id: the time of the last sign of life, and in how many seconds the
    run is resumed here unless another sign comes.
    """

    executor: Executor
    plan: Sequence[Recipe]
    fingerprints: Mapping[tuple[Any, ...], str]
    elsewhere: int = 0
    unseen: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def ended(self) -> Iterator[Ended | None]:
        """Each recipe as it ends, and None at regular intervals. Raises KwsError if a worker cannot work at all."""
        left = deque(
            as_task(recipe, do="train", at=i, fingerprint=self.fingerprints[recipe.data_key])
            for i, recipe in enumerate(self.plan)
        )
        others: dict[int, _Other] = {}
        watch = Watch()
        deaths: dict[int, int] = {}
        asked = 0
        while left or others or asked:
            now = time.monotonic()
            for other in others.values():
                if other.due <= now and self.executor.room() > len(left):  # tasks that are surely left come first
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
    """The result of one task other than training. Raises KwsError if the worker refuses it, or always dies."""
    executor.submit(as_task(recipe, do=what))
    return wait(executor)


def wait(executor: Executor) -> Result:
    """The result of the only submitted task, after printing the messages that came with it.

    Raises KwsError if the worker refuses the task, or always dies.
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
