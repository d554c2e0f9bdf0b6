"""A sweep's worker processes: each takes one recipe after another, and one that dies is replaced.

Workers are sessions of their own, so that Ctrl-C in a terminal reaches the sweep alone. It stops them by closing their
stdin; so does its death. A recipe whose worker died goes back into the line, DEATHS times at most. One that another
process is training is asked for again, once nothing else is left, until it is finished or can be taken over.
"""

from __future__ import annotations

import dataclasses
import json
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from kws.errors import KwsError
from kws.recipe import Recipe
from kws.registry.runs import FAILED, RUNNING

DEATHS = 3
STOP_SECONDS = 8.0
_ASK_AGAIN_SECONDS = 1.0
Answer = dict[str, Any]


class Pool:
    """So many workers; ends them when it is left, by whatever way."""

    def __init__(self, jobs: int, *, db: Path, retry: bool, skip_unreadable: bool) -> None:
        self._about = {"db": str(db), "retry": retry, "skip_unreadable": skip_unreadable}
        self._jobs = jobs
        self._workers: list[subprocess.Popen[bytes]] = []
        self._selector = selectors.DefaultSelector()
        self.running = 0

    def __enter__(self) -> Self:
        self._begin()  # the others begin when there is work for them
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

    def fingerprint(self, recipe: Recipe) -> str:
        """The fingerprint of a recipe's data; raises KwsError where that cannot be used."""
        worker = self._workers[0]
        self._ask(worker, "fingerprint", recipe)
        answer = self._hear(worker)
        if answer is None or "fingerprint" not in answer:
            raise KwsError(
                (answer or {}).get("error") or "the sweep's worker died while it prepared the data; try again"
            )
        return str(answer["fingerprint"])

    def train(self, plan: list[Recipe]) -> Iterator[tuple[Recipe, Answer]]:
        """Train each recipe; yields each with what became of it, as they end."""
        left, waiting = deque(plan), deque[tuple[float, Recipe]]()
        at: dict[subprocess.Popen[bytes], Recipe] = {}
        deaths: dict[Recipe, int] = {}
        while len(self._workers) < min(self._jobs, len(plan)):
            self._begin()
        for worker in self._workers:
            self._selector.register(worker.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]
        while left or waiting or at:
            while waiting and not left and waiting[0][0] <= time.monotonic():
                left.append(waiting.popleft()[1])
            for worker in self._workers:
                if worker not in at and left:
                    at[worker] = left.popleft()
                    self._ask(worker, "train", at[worker])
            self.running = len(at)
            for key, _ in self._selector.select(0.2):
                worker = key.data
                answer, recipe = self._hear(worker), at.pop(worker, None)
                if answer is None:
                    self._replace(worker)
                    if recipe is None:
                        continue
                    deaths[recipe] = deaths.get(recipe, 0) + 1
                    if deaths[recipe] < DEATHS:
                        left.appendleft(recipe)
                        continue
                    answer = {"status": FAILED, "error": f"its worker died {DEATHS} times"}
                assert recipe
                if answer["status"] == RUNNING:
                    waiting.append((time.monotonic() + _ASK_AGAIN_SECONDS, recipe))
                elif answer["status"] == "refused":
                    raise KwsError(answer["error"])
                else:
                    self.running = len(at)
                    yield recipe, answer

    def _begin(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "kws.cli.worker", *sys.argv[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._workers.append(worker)
        self._tell(worker, self._about)
        return worker

    def _replace(self, worker: subprocess.Popen[bytes]) -> None:
        self._selector.unregister(worker.stdout)  # type: ignore[arg-type]
        self._workers.remove(worker)
        worker.kill()
        worker.wait()
        new = self._begin()
        self._selector.register(new.stdout, selectors.EVENT_READ, new)  # type: ignore[arg-type]

    def _ask(self, worker: subprocess.Popen[bytes], ask: str, recipe: Recipe) -> None:
        self._tell(worker, {"ask": ask, "recipe": dataclasses.asdict(recipe)})

    def _tell(self, worker: subprocess.Popen[bytes], message: Any) -> None:
        with suppress(BrokenPipeError):  # that it died is heard
            worker.stdin.write(json.dumps(message).encode() + b"\n")  # type: ignore[union-attr]

    def _hear(self, worker: subprocess.Popen[bytes]) -> Answer | None:
        """The worker's next line; None where it died."""
        line = worker.stdout.readline()  # type: ignore[union-attr]
        return json.loads(line) if line.endswith(b"\n") else None
