"""`python -m tests.stress.forker`: imports PyTorch once and forks for each training, see tests.stress.trainer.

Requests come as JSON lines on stdin, answers go as JSON lines to stdout:

    {"start": [arguments], "stdout": file, "stderr": file, "folder": folder, "checkpoint_seconds": s}
        -> {"pid": number}
    {"wait": pid, "seconds": s}
        -> {"code": exit code, negative for a signal, or null where it still runs}

PyTorch is imported but never used before a fork, so that no thread of it is lost there. Where stdin ends, every
child is killed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

_IMPORTED = (
    "torch",
    "kws.training.loop",
    "kws.training.checkpoints",
    "kws.training.weights",
    "kws.terminal.console",
    "kws.terminal.screens",
    "kws.training.profile",
    "kws.training.runner",
    "kws.speech.dataset",
    "kws.architectures.cnn",
    "kws.registry.store",
    "kws.reports.json_output",
)
_POLL_SECONDS = 0.002


def main() -> None:
    """Serve until stdin ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing but answers may go where answers go
    for module in _IMPORTED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    _answer(answers, {"ready": True})
    children: set[int] = set()
    try:
        for line in sys.stdin:
            request = json.loads(line)
            if "start" in request:
                pid = os.fork()
                if not pid:
                    os.close(answers)
                    _train(request)
                children.add(pid)
                _answer(answers, {"pid": pid})
            else:
                code = _wait(request["wait"], request["seconds"])
                if code is not None:
                    children.discard(request["wait"])
                _answer(answers, {"code": code})
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def run(arguments: list[str], checkpoint_seconds: float) -> int:
    """Run the `kws` program in this process; returns its exit code."""
    from kws import cli
    from kws.training import runner

    runner.CHECKPOINT_SECONDS = checkpoint_seconds
    sys.argv = ["kws", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _train(request: dict[str, Any]) -> None:
    """The child's whole life."""
    code = 70
    try:
        for number, name, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (2, request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ):
            file = os.open(name, flags, 0o644)
            os.dup2(file, number)
            os.close(file)
        os.chdir(request["folder"])
        code = run(request["start"], request["checkpoint_seconds"])
    finally:
        os._exit(code)


def _wait(pid: int, seconds: float) -> int | None:
    until = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(_POLL_SECONDS)


def _answer(to: int, answer: dict[str, Any]) -> None:
    os.write(to, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # where there is no fork: one training in this process
        sys.exit(run(sys.argv[2:], float(sys.argv[1])))
    main()
