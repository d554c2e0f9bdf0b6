"""A process of a sweep on this machine: it imports torch once and trains one recipe after another.

It is asked on stdin and answers on stdout, a JSON object a line. While it trains for a search it tells each epoch, and
reads whether to go on. When stdin ends, the sweep has been stopped, or killed: the run at hand ends as interrupted and
the process with it.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

from kws import ALLOCATIONS
from kws.errors import KwsError
from kws.events import EpochEnd
from kws.sweeps.trainer import REFUSED, About, Trainer, answer
from kws.terminal import streams
from kws.training.stopping import Stopped, Terminated, stoppable


def _listen(questions: queue.SimpleQueue[str]) -> None:
    """Put each line on stdin into the queue; when they end, so does the process."""
    for line in sys.stdin:
        questions.put(line)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Answer until stdin ends."""
    gc.set_threshold(ALLOCATIONS)
    streams.guard()
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever prints, prints on stderr
    questions: queue.SimpleQueue[str] = queue.SimpleQueue()

    def say(value: Any) -> None:
        line = json.dumps(value).encode() + b"\n"
        try:
            while line:
                line = line[os.write(answers, line) :]
        except OSError:  # the sweep is gone; a run that tells it of an epoch is interrupted, and has not failed
            raise Terminated from None

    def keep_going(epoch: EpochEnd) -> bool:
        say({"epoch": epoch.epoch, "validation_accuracy": epoch.validation_accuracy})
        return json.loads(questions.get())

    threading.Thread(target=_listen, args=(questions,), daemon=True).start()
    import torch  # noqa: F401 - while the sweep still reads its registry; until it is there, SIGTERM ends this at once

    with suppress(KeyboardInterrupt, Stopped), stoppable():
        try:
            trainer = Trainer(About(**json.loads(questions.get())))
        except KwsError as error:
            questions.get()
            say({"status": REFUSED, "error": str(error)})
            return
        while True:
            question = json.loads(questions.get())
            told = {"keep_going": keep_going} if question.get("epochs_told") else {}
            say(answer(trainer, question, **told))


if __name__ == "__main__":
    main()
