"""Trainings as processes that can be killed: `kws ...` with other seconds between checkpoints.

On Linux each is forked from one process that has imported PyTorch (see tests.stress.forker), so that a kill costs no
two seconds of importing; elsewhere each is a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.stress.common import REPOSITORY, environment

CHECKPOINT_SECONDS = 0.05
_LONGEST_LINE = 1_000
FOREVER = 600.0  # after that many seconds a training hangs


class Training:
    """One process that was started; `started` is when, by time.monotonic()."""

    def __init__(self, trainer: Trainer, pid: int, stdout: Path, stderr: Path, process: Any) -> None:
        self.pid, self.stdout, self.stderr, self.started = pid, stdout, stderr, time.monotonic()
        self._trainer, self._process = trainer, process
        self._code: int | None = None

    def kill(self) -> None:
        """SIGKILL; the process is there until wait() has noticed its end, so no other one can be hit."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = FOREVER) -> int | None:
        """Its exit code, negative for a signal; None where it still runs after so many seconds."""
        if self._code is None:
            self._code = self._trainer.wait_for(self.pid, self._process, seconds)
        return self._code

    def end(self) -> int:
        """Its exit code; a process that hangs is killed."""
        code = self.wait()
        if code is None:
            self.kill()
            code = self.wait()
        return -signal.SIGKILL if code is None else code

    def last_line(self) -> str:
        """The last whole line that it has written to stderr."""
        with self.stderr.open("rb") as file:
            file.seek(max(self.stderr.stat().st_size - _LONGEST_LINE, 0))
            return file.read().decode("utf-8", "replace").rpartition("\n")[0].rpartition("\n")[2]

    def said(self) -> list[str]:
        """The whole lines that it has written to stderr."""
        return self.stderr.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]


class Trainer:
    """Starts trainings; `folder` is where they run, and where what they print goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = environment(KWS_CACHE=str(folder / "cache"), KWS_DATA=str(folder / "task"), HOME=str(folder))
        self._count = 0
        self._server: subprocess.Popen[str] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        if sys.platform == "linux" and hasattr(os, "fork"):
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.stress.forker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._env,
                cwd=REPOSITORY,
                start_new_session=True,
            )
            self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server:
            self._server.communicate()
        for process in self._others:
            process.kill()
            process.wait()

    def start(self, *arguments: str | Path, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Training:
        """Start `kws` with these arguments."""
        self._count += 1
        stdout, stderr = (self.folder / f"{self._count}.{stream}" for stream in ("out", "err"))
        words = [str(argument) for argument in arguments]
        if self._server is None:
            with stdout.open("wb") as out, stderr.open("wb") as err:
                command = [sys.executable, "-m", "tests.stress.forker", str(checkpoint_seconds), *words]
                process = subprocess.Popen(command, stdout=out, stderr=err, env=self._env, cwd=REPOSITORY)
            self._others.append(process)
            return Training(self, process.pid, stdout, stderr, process)
        stderr.touch()  # so that it can be read before the child has come so far
        request = {"start": words, "stdout": str(stdout), "stderr": str(stderr), "folder": str(self.folder)}
        answer = self._ask({**request, "checkpoint_seconds": checkpoint_seconds})
        return Training(self, answer["pid"], stdout, stderr, None)

    def run(self, *arguments: str | Path, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Training:
        """Start `kws` with these arguments and wait for its end."""
        training = self.start(*arguments, checkpoint_seconds=checkpoint_seconds)
        training.end()
        return training

    def must(self, *arguments: str | Path, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> Training:
        """As run(). Raises RuntimeError where it fails: what is to be tortured must work when it is left in peace."""
        training = self.run(*arguments, checkpoint_seconds=checkpoint_seconds)
        if code := training.wait():
            raise RuntimeError(f"`kws {arguments[0]}` ended with {code}: {summary(training)}")
        return training

    def wait_for(self, pid: int, process: Any, seconds: float) -> int | None:
        """The exit code of a process that was started here."""
        if process is None:
            return self._ask({"wait": pid, "seconds": seconds})["code"]
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._server and self._server.stdin
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._server and self._server.stdout
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("the process that forks trainings has ended")
        return json.loads(line)


def summary(training: Training) -> str:
    """The last thing that a training said, in a line."""
    lines = [line for line in training.stderr.read_text(encoding="utf-8", errors="replace").splitlines() if line]
    return lines[-1][:300] if lines else "it said nothing"
