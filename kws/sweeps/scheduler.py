"""The scheduler submits a plan's recipes to an executor until each has ended.

- If a worker dies, its recipe goes back to the head of the queue. A recipe fails once DEATHS workers have died on it.
- Other sweeps may train the same plan at the same time, on this machine or on a hundred. Once another one is met, the
  rest of the plan is gone through in a random order, so that no two go the same way, and which runs were begun, and how
  they stand, is looked up in the registry, all at once.
- What a process outside this sweep is training is waited for, until its run has finished or can be taken over. A run
  can be taken over at once if its process is seen to be gone. If its process cannot be seen, because it is on another
  machine, the run can be taken over after SILENT_SECONDS without a sign of life, by our own clock.
- The scheduler reports which runs it is waiting for.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from kws.errors import KwsError, RegistryError
from kws.recipe import Recipe
from kws.registry.plans import PlanWatcher, Standing
from kws.registry.process import SILENT_SECONDS, Watch
from kws.registry.runs import FAILED, FINISHED, RUNNING
from kws.sweeps.trainer import DIED, REFUSED, Result, Task, as_task
from kws.terminal import console

DEATHS = 5
LOOK_SECONDS = 0.25
_ASK_AGAIN_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 300.0  # after which a run of others is asked for, if no look has told of it for so long
_SHARE = 50  # the time until the next look, as a multiple of the time that the last one took


class Executor(Protocol):
    """Processes that carry out tasks (see kws.sweeps.trainer), here or elsewhere."""

    @property
    def jobs(self) -> int:
        """How many runs it can train at once."""

    @property
    def where(self) -> str:
        """Where it trains, as " on 2 nodes of Ray"; "" for this machine."""

    @property
    def workers_tell(self) -> bool:
        """Whether news() has what its processes say, such as that the registry is away."""

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


def are_silent(executor: Executor) -> bool:
    """Whether no process would say now that the registry is away."""
    return not executor.workers_tell or executor.room() >= executor.jobs


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
    sign: str | None = None
    last_seen: str | None = None
    silent: float = 0.0
    due: float = field(default_factory=lambda: time.monotonic())


@dataclass
class Scheduler:
    """Recipes to train, and the fingerprints of their data by Recipe.data_key.

    `watcher` opens what tells of other sweeps of the same plan; without one, each of their runs is asked for.

    `elsewhere` counts the runs that processes outside this sweep are training now. `unseen` describes those of them
    whose process cannot be seen from here, by run id: the time of the last sign of life, and in how many seconds the
    run is resumed here unless another sign comes.
    """

    executor: Executor
    plan: Sequence[Recipe]
    fingerprints: Mapping[tuple[Any, ...], str]
    watcher: Callable[[], PlanWatcher] | None = None
    elsewhere: int = 0
    unseen: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    _left: deque[Task] = field(default_factory=deque)
    _others: dict[int, _Other] = field(default_factory=dict)
    _watch: Watch = field(default_factory=Watch)
    _after: int = 0  # the key of the newest run, of anybody, that a look has told of
    _looked: float = -math.inf
    _looks_every: float = _ASK_AGAIN_SECONDS  # the longer the last look took, the later the next
    _open: PlanWatcher | None = None

    def ended(self) -> Iterator[Ended | None]:
        """Each recipe as it ends, and None at regular intervals. Raises KwsError if a worker cannot work at all."""
        self._left.extend(
            as_task(recipe, do="train", at=i, fingerprint=self.fingerprints[recipe.data_key])
            for i, recipe in enumerate(self.plan)
        )
        try:
            yield from self._ended()
        finally:
            if self._open:
                self._open.__exit__()

    def _ended(self) -> Iterator[Ended | None]:
        deaths: dict[int, int] = {}
        asked, shared = 0, False
        while self._left or self._others or asked:
            if (shared or self._others) and self.executor.room() > 0:
                yield from self._look()
            self._ask_again()
            while self._left and self.executor.room() > 0:
                self.executor.submit(self._left.popleft())
                asked += 1
            self._tell()
            for task, result in self.executor.results(LOOK_SECONDS):
                asked -= 1
                at, status = task["at"], result["status"]
                if status == REFUSED:
                    raise KwsError(result["error"])
                if status == DIED:
                    deaths[at] = deaths.get(at, 0) + 1
                    self._others.pop(at, None)  # if it was another's, this sweep has taken it over
                    if deaths[at] < DEATHS:
                        self._left.appendleft(task)
                        continue
                    result = {"status": FAILED, "run": None, "error": f"its process died {DEATHS} times"}
                if result.get("before") and not shared and at not in deaths:  # else the run may be this sweep's own
                    shared = True
                    random.shuffle(self._left)
                if status == RUNNING:
                    if task.get("silent"):  # it gave a sign of life, or could not: its silence is watched anew
                        self._watch.forget(at)
                    sign, run = result["sign"], result["run"]
                    other = _Other(task, run, sign, result.get("last_seen"), self._watch.seconds(at, sign))
                    other.due += _LOOK_AGAIN_SECONDS if self.watcher else _ASK_AGAIN_SECONDS
                    self._others[at] = other
                    continue
                yield self._end(at, result)
            yield None

    def _end(self, at: int, result: Result) -> Ended:
        self._others.pop(at, None)
        self._watch.forget(at)
        self._tell()
        return Ended(recipe=self.plan[at], result=result)

    def _ask_again(self) -> None:
        """Put the runs of others that are due back into the queue, if there is room for more than what is left."""
        now = time.monotonic()
        for other in self._others.values():
            if other.due <= now and self.executor.room() > len(self._left):  # tasks that are surely left come first
                silent = other.sign if other.sign and other.silent > SILENT_SECONDS else None
                self._left.append({**other.task, "silent": silent})
                other.due = math.inf

    def _look(self) -> Iterator[Ended]:
        """Look up what others have begun and how it stands, if it is time to; what has ended, ends here."""
        start = time.monotonic()
        if not self.watcher or start - self._looked < self._looks_every:
            return
        try:
            if not self._open:
                self._open = self.watcher()
                self._open.database.again_seconds = 0.0
            begun, self._after = self._open.begun(self._after)
            self._wait_for(begun)
            waited = {at: other for at, other in self._others.items() if other.due < math.inf}
            standings = self._open.standings([other.run for other in waited.values()])
        except RegistryError:  # read only: whoever writes to the registry reports what is wrong
            self._looked = time.monotonic()
            return
        self._looked = time.monotonic()
        for at, other in waited.items():
            yield from self._seen(at, other, standings.get(other.run))
        self._looks_every = max(_ASK_AGAIN_SECONDS, _SHARE * (self._looked - start))

    def _wait_for(self, begun: Mapping[tuple[str, str], str]) -> None:
        """Take what others have begun out of the queue."""
        left: deque[Task] = deque()
        for task in self._left if begun else ():
            at = task["at"]
            if at not in self._others and (run := begun.get(self._key(at))):
                self._others[at] = _Other(task, run)  # which is looked at right after this
            else:
                left.append(task)
        if begun:
            self._left = left

    def _seen(self, at: int, other: _Other, standing: Standing | None) -> Iterator[Ended]:
        """Go on with what a look told of a run of others; None where it is not there any more.

        Of a recipe whose run has failed there may be another that has not, which its claim finds.
        """
        if standing and standing.status == FINISHED:
            yield self._end(at, {"status": FINISHED, "run": other.run, "error": None, "before": True})
        elif standing and standing.status == RUNNING:
            other.sign, other.last_seen = standing.sign, standing.last_seen
            other.silent = self._watch.seconds(at, standing.sign, every=self._looks_every)
            taken = other.sign and other.silent > SILENT_SECONDS
            other.due = self._looked if taken else self._looked + _LOOK_AGAIN_SECONDS
        else:  # a process that is gone, as is seen from here, may not be seen from where the run is taken over
            del self._others[at]
            self._left.append({**other.task, "silent": standing.sign if standing else None})

    def _key(self, at: int) -> tuple[str, str]:
        recipe = self.plan[at]
        return recipe.digest, self.fingerprints[recipe.data_key]

    def _tell(self) -> None:
        self.elsewhere = len(self._others)
        unseen = {other.run: other for other in self._others.values() if other.sign}
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
            for line in executor.news():
                console.say(console.visible(line))
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
