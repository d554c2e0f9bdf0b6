"""A sweep's worker: a process that imports torch once and trains one recipe after another.

It is asked on stdin and answers on stdout, a JSON object a line, one answer for each question. When stdin ends, the
sweep has been stopped, or killed: the run at hand ends as interrupted and the worker with it. The data set, the
registry and the environment are read once. The arguments are the sweep's, for they are recorded as the command.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kws.cli import session
from kws.environment import Environment
from kws.errors import KwsError
from kws.recipe import Recipe
from kws.registry.claims import claim
from kws.registry.runs import FAILED, FINISHED, RUNNING
from kws.registry.store import Registry

if TYPE_CHECKING:
    from kws.speech.dataset import Dataset


class Worker:
    """What is kept from one run to the next."""

    def __init__(self, db: Path, *, retry: bool, skip_unreadable: bool) -> None:
        self._registry = Registry(db, create=True)
        self._retry, self._skip_unreadable = retry, skip_unreadable
        self._environment = Environment.here(sys.argv[1:])
        self._loaded: dict[tuple[str, tuple[str, ...]], Dataset] = {}

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """The fingerprint of a recipe's data, or what became of its run."""
        values = question["recipe"]
        maps = values["maps"]
        recipe = Recipe(**{**values, "words": tuple(values["words"]), "maps": tuple(maps) if maps else None})
        try:
            if question["ask"] == "fingerprint":
                return {"fingerprint": self._data(recipe).card.fingerprint}
            return self._train(recipe)
        except KwsError as error:
            return {"status": FAILED, "error": str(error)}
        except typer.Exit:  # a RuntimeError, too: the run was interrupted
            raise
        except (RuntimeError, MemoryError) as error:
            return {"status": FAILED, "error": " ".join(str(error).split()) or type(error).__name__}

    def _train(self, recipe: Recipe) -> dict[str, Any]:
        from kws import checkpoints, layers, training

        loaded = self._data(recipe)
        classes = len(loaded.card.classes)
        state = training.Training.begin(recipe, classes)
        before, run_id = claim(
            self._registry,
            recipe,
            loaded.card,
            retry=self._retry,
            parameters=sum(parameter.numel() for parameter in state.model.parameters()),
            multiply_accumulates=layers.describe(recipe.arch, classes=classes, maps=recipe.maps).multiply_accumulates,
            environment=self._environment,
        )
        if before and before.status in (FINISHED, RUNNING):
            return {"status": before.status, "run": run_id, "before": True}
        if before and before.status == FAILED and not self._retry:
            return {"status": FAILED, "run": run_id, "error": before.error}
        try:
            if before and (checkpoint := self._registry.checkpoint(run_id)):
                checkpoints.restore(state, checkpoint.data)
        except KwsError as error:
            self._registry.end(run_id, FAILED, str(error))
            raise
        run = session.work(self._registry, run_id, state, recipe, loaded, say=lambda _: None, shown=False)
        return {"status": run.status, "run": run.id, "test_accuracy": run.test_accuracy, "seconds": run.seconds}

    def _data(self, recipe: Recipe) -> Dataset:
        from kws.speech import dataset

        key = recipe.data, recipe.words
        if key not in self._loaded:
            loaded = dataset.load(recipe.data, recipe.words, skip_unreadable=self._skip_unreadable)
            dataset.require_all_classes(loaded)
            self._loaded[key] = loaded
        return self._loaded[key]


def _listen(questions: queue.SimpleQueue[str]) -> None:
    """Put each line on stdin into the queue; when they end, so does the process."""
    for line in sys.stdin:
        questions.put(line)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints, prints on stderr
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()
    with suppress(KeyboardInterrupt, typer.Exit, BrokenPipeError), session.stoppable():
        threading.Thread(target=_listen, args=(questions,), daemon=True).start()
        about = json.loads(questions.get())
        try:
            worker = Worker(Path(about["db"]), retry=about["retry"], skip_unreadable=about["skip_unreadable"])
        except KwsError as error:
            answers.write(json.dumps({"status": "refused", "error": str(error)}) + "\n")
            return
        while True:
            answers.write(json.dumps(worker.answer(json.loads(questions.get()))) + "\n")


if __name__ == "__main__":
    main()
