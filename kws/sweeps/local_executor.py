"""LocalExecutor: worker processes on this machine, each of which trains one recipe after another.

Each worker is a POSIX session of its own, so that Ctrl-C in a terminal reaches the sweep only. The sweep stops its
workers by closing their stdin, which also happens if the sweep itself dies. A worker that dies is replaced.
"""

from __future__ import annotations

import dataclasses
import json
import re
import selectors
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any, Self

from kws.recipe import Recipe
from kws.registry.patience import BACK
from kws.speech.cache import cache_folder
from kws.sweeps.trainer import DIED, Result, Task, WorkerConfig, as_recipe

STOP_SECONDS = 8.0
_AGAIN_SECONDS = 60.0  # before the same news is told again, whichever worker it comes from
_AWAY = re.compile(r"\bkws (tries again for|waits for it)")  # how Patience says that the registry is away


class LocalExecutor:
    """Up to `jobs` worker processes, which end when the `with` block is left, even by an exception.

    The first worker starts at once, the others when needed.
    """

    where = ""
    workers_tell = True

    def __init__(self, jobs: int, config: WorkerConfig) -> None:
        self.jobs, self._config = jobs, config
        self._workers: list[subprocess.Popen[bytes]] = []
        self._submitted: dict[int, Task] = {}  # by process id
        self._listed: dict[tuple[Any, ...], dict[str, Any]] = {}  # listings by Recipe.data_key
        self._news: list[str] = []
        self._told: dict[str, float] = {}  # when news were told
        self._selector = selectors.DefaultSelector()
        cache_folder()  # if the user's cannot be used, warn here once and choose another for all workers
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            with suppress(OSError):
                worker.stdin.close()  # type: ignore[union-attr]
        until = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            try:
                worker.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._selector.close()

    def news(self) -> list[str]:
        """What workers have said since this was asked last; a process that dies is a result."""
        news, self._news = self._news, []
        return news

    def _note(self, text: str) -> None:
        """Keep what a worker says, if no other has said it just now; that the registry is away is one news for all."""
        if text == BACK:
            if self._told.pop(_AWAY.pattern, None) is not None:
                self._news.append(text)
            return
        now, kind = time.monotonic(), _AWAY.pattern if _AWAY.search(text) else text
        if now - self._told.get(kind, float("-inf")) > _AGAIN_SECONDS:
            self._told[kind] = now
            self._news.append(text)

    def room(self) -> int:
        """How many more tasks can be submitted now."""
        return self.jobs - len(self._submitted)

    def submit(self, task: Task) -> None:
        """Give the task to an idle worker, or to a new one.

        Before a probe, the clips of the recipe's data are listed here once for all workers, unless the data is
        generated or downloaded. This costs nothing, since the first worker is still importing torch. Raises DataError
        if the data cannot be used.
        """
        recipe = as_recipe(task)
        if task["do"] == "probe":
            self._list(recipe)
        idle = [worker for worker in self._workers if worker.pid not in self._submitted]
        worker = idle[0] if idle else self._begin()
        self._submitted[worker.pid] = task
        self._tell(worker, task | {"features": self._listed.get(recipe.data_key)})

    def results(self, seconds: float) -> list[tuple[Task, Result]]:
        """The results that arrive within `seconds`."""
        found = []
        for key, _ in self._selector.select(seconds):
            worker = key.data
            result = self._hear(worker)
            if isinstance(result, str):
                self._note(result)
                continue
            task = self._submitted.pop(worker.pid, None)
            if result is None:
                self._remove(worker)
                result = {"status": DIED}
            if task:
                found.append((task, result))
        return found

    def _list(self, recipe: Recipe) -> None:
        from kws.speech import sources
        from kws.speech.listing import list_source

        if not {recipe.data, recipe.test_data} & {*sources.names()}:
            options = {
                "align": recipe.align,
                "partition": recipe.partition,
                "skip_unreadable": self._config.skip_unreadable,
            }
            listing = list_source(recipe.data, recipe.task, recipe.speakers, recipe.pattern, **options)  # type: ignore[arg-type]
            self._listed[recipe.data_key] = listing.found()

    def _begin(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "kws.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._workers.append(worker)
        self._selector.register(worker.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]
        self._tell(worker, dataclasses.asdict(self._config))
        return worker

    def _remove(self, worker: subprocess.Popen[bytes]) -> None:
        self._selector.unregister(worker.stdout)  # type: ignore[arg-type]
        self._workers.remove(worker)
        worker.kill()
        worker.wait()

    def _tell(self, worker: subprocess.Popen[bytes], message: Any) -> None:
        with suppress(BrokenPipeError):  # _hear() notices that it died
            worker.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]

    def _hear(self, worker: subprocess.Popen[bytes]) -> Result | str | None:
        """The worker's next result or news; None if the worker died."""
        line = worker.stdout.readline()  # type: ignore[union-attr]
        return json.loads(line) if line.endswith(b"\n") else None
