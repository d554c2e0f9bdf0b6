"""A sweep's worker process on this machine: it imports torch once and trains one recipe after another.

Tasks arrive on stdin and results go to stdout, one JSON object per line; a text among them is news for the user. When
stdin ends, the sweep was stopped or killed: the current run ends as interrupted and the process exits.
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
from kws.sweeps.trainer import REFUSED, Trainer, WorkerConfig, carry_out
from kws.terminal import streams
from kws.training.stopping import Stopped, Terminated, stoppable


def _listen(tasks: queue.SimpleQueue[str]) -> None:
    """Put each line of stdin into the queue; when stdin ends, terminate the process."""
    for line in sys.stdin:
        tasks.put(line)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Carry out tasks until stdin ends."""
    gc.set_threshold(ALLOCATIONS)
    streams.guard()
    results = os.dup(1)
    os.dup2(2, 1)  # everything that prints, prints on stderr
    tasks: queue.SimpleQueue[str] = queue.SimpleQueue()

    def say(value: Any) -> None:
        line = json.dumps(value).encode() + b"\n"
        try:
            while line:
                line = line[os.write(results, line) :]
        except OSError:  # the sweep is gone, and nobody waits for the result
            raise Terminated from None

    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    import torch  # noqa: F401 - while the sweep still reads its registry; during the import SIGTERM ends this at once

    with suppress(KeyboardInterrupt, Stopped), stoppable():
        try:
            trainer = Trainer(WorkerConfig(**json.loads(tasks.get())), say)
        except KwsError as error:
            tasks.get()
            say({"status": REFUSED, "error": str(error)})
            return
        while True:
            say(carry_out(trainer, json.loads(tasks.get())))


if __name__ == "__main__":
    main()
