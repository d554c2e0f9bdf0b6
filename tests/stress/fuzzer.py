"""`python -m tests.stress.fuzzer MATERIALS FOLDER FIRST STOP STEP`: does many cases, see tests.stress.fuzz.

Before and after each case it writes a JSON line to stdout. A case has a folder of its own, ten seconds, and no more
memory and file size than a small machine has. With STEP 0 the one case FIRST is done and its traceback shown.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from kws.errors import KwsError
from tests.stress.cases import TURNS, EscapedError, Place, attempt, kind_of
from tests.stress.common import REPOSITORY

SECONDS = 10.0
_MEMORY_BYTES = 8 * 2**30
_FILE_BYTES = 256 * 2**20
_FRAMES = 6  # of a traceback are kept
_IMPORTED = (
    "soundfile",
    "soxr",
    "kws.training.runner",
    "kws.terminal.screens",
    "kws.speech.dataset",
    "kws.training.loop",
)


class _HangError(BaseException):
    """The case took too long; no `except Exception` may take it."""


def main() -> None:
    """Do the cases."""
    materials, folder = Path(sys.argv[1]), Path(sys.argv[2])
    first, stop, step = map(int, sys.argv[3:])
    for module in (*_IMPORTED, *(f"tests.stress.cases.{kind}" for kind in sorted(set(TURNS)))):
        importlib.import_module(module)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _alarm)
    if not step:
        print(json.dumps(_do(first, materials, folder / "case", shown=True), indent=1))
        return
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(silence, number)
    log = os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # for what a crash says last
    os.dup2(log, 2)
    environment = dict(os.environ)
    for number in range(first, stop, step):
        _tell(answers, {"begin": number})
        os.ftruncate(log, 0)
        result = _do(number, materials, folder / "case", shown=False)
        os.environ.clear()
        os.environ.update(environment)
        _tell(answers, {"end": number, **result})


def _do(number: int, materials: Path, folder: Path, *, shown: bool) -> dict[str, Any]:
    """What came of a case: nothing where all is well, else `failure`, a sentence and where it happened."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    random.seed(number)
    torch.set_flush_denormal(False)  # as it is when a process begins; training sets it
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    failure: dict[str, Any] = {}
    try:
        attempt(number, Place(materials, folder))
    except KwsError as error:
        failure = {"allowed": type(error).__name__} if not shown else {"allowed": f"{type(error).__name__}: {error}"}
    except _HangError as error:
        failure = _failure("hang", error)
    except EscapedError as error:
        failure = _failure("canary", error)
    except BaseException as error:
        failure = _failure("traceback", error)
        if shown:
            traceback.print_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.chdir(materials)
    if not shown:
        shutil.rmtree(folder, ignore_errors=True)
    return {"kind": kind_of(number), "seconds": round(time.perf_counter() - start, 3), **failure}


def _failure(what: str, error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}kws{os.sep}" in frame.filename]
    at = ours[-1] if ours else frames[-1]
    name = type(error).__name__
    return {
        "failure": what,
        "what": f"{name}: {str(error)[:300]}",
        "where": _place(at),
        "traceback": [_place(frame) for frame in frames[-_FRAMES:]],
    }


def _place(frame: traceback.FrameSummary) -> str:
    """Where something happened, without this machine's folders."""
    path = Path(frame.filename)
    shown = path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else Path(*path.parts[-3:])
    return f"{shown}:{frame.lineno} {frame.name}"


def _alarm(*_: Any) -> None:
    raise _HangError(f"it took more than {SECONDS:g} s")


def _tell(to: int, message: dict[str, Any]) -> None:
    os.write(to, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
