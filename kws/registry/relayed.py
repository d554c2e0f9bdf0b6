"""Relayed: a registry on a server as the processes of sweeps use it, through their machine's relay."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from kws.errors import LostConnectionError, RegistryError
from kws.events import DataCard, EpochEnd, Evaluation
from kws.registry import state_files
from kws.registry.claims import Claim, Wanted
from kws.registry.entries import now
from kws.registry.finishing import Ending
from kws.registry.location import Location, in_full
from kws.registry.patience import SECONDS, Patience
from kws.registry.process import Process
from kws.registry.records import Batch
from kws.registry.relay_messages import Answer, Client, Request, limit
from kws.registry.runs import Checkpoint, Curve, Run
from kws.registry.state_files import StateFiles

_START_SECONDS, _START_AGAIN_SECONDS = 30.0, 5.0
_ANSWER_SECONDS = 180.0  # a relay waits for its server for less; one that is silent for longer was stopped, say
_LOOK_SECONDS = 0.05
_LONGEST_FOLDER = 80  # bytes; a socket's whole path may have 103 (macOS) or 107 (Linux)


class RelayedRegistry:
    """What kws.registry.claims.Claimer is to a process that trains, without a connection of its own.

    `code` is the digest of kws's source: processes of another version have another relay. Every method raises
    UnavailableError if the registry was away for longer than `patience` seconds, and what Claimer's does; `say` gets a
    sentence meanwhile.
    """

    def __init__(
        self,
        path: Location,
        *,
        code: str,
        tests: bool = True,
        patience: float = SECONDS,
        files: StateFiles | None = None,
        weight_files: StateFiles | None = None,
        sources: tuple[tuple[str, str], ...] = (),
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.path, self.patience = path, Patience(patience, say=say)
        self.files, self.weight_files = files, weight_files
        self._place = _place(in_full(path), code)
        self._tests, self._sources = tests, sources
        self._sessions: dict[str, int] = {}
        self.checkpoint_seconds = 0.0  # that one from each process that shares the relay takes, as last measured
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        # Now, so that a registry that cannot be used is told at once.
        self._call("require_urls" if weight_files else "is_writable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection:
            self._connection.close()

    def claim(self, wanted: Wanted) -> Claim:
        """Claim a recipe; see Claimer.claim()."""
        made: Claim = self._ask(Request(claim=wanted))
        return made

    def record_all(self, run_id: str, epochs: Sequence[EpochEnd], checkpoint: tuple[int, bytes] | None = None) -> None:
        """Record finished epochs, in order, and a checkpoint of one of them, with what other processes record then."""
        batch = Batch.of(run_id, self._sessions.get(run_id), epochs, checkpoint, self.files)
        with batch.taken_back():
            self._ask(Request(batch=batch))
        if self.files and batch.checkpoint:
            self.files.replaced(run_id, batch.checkpoint["url"])

    def remember(self, run_id: str, epochs: Sequence[EpochEnd], checkpoint: tuple[int, bytes] | None) -> None:
        """Do nothing: what a server has committed is there, and what it has not is trained again."""

    def beat(self, run_id: str) -> None:
        """Record that this process still works on a run."""
        self.record_all(run_id, ())

    def finish(
        self,
        run_id: str,
        evaluation: Evaluation | None,
        card: DataCard,
        weights: bytes,
        *,
        validation: Evaluation | None = None,
    ) -> Run:
        """Record the end of a run; see Registry.finish()."""
        ending = Ending.of(run_id, evaluation, validation, card, weights, self.weight_files)
        batch = Batch(run=run_id, session=self._sessions.get(run_id), ending=ending)
        with batch.taken_back():
            made: Run = self._ask(Request(batch=batch))
        if self.files:
            self.files.ended(run_id)
        return made

    def end(self, run_id: str, status: str, error: str | None = None) -> Run:
        """Record that this process's run ended before its last epoch, and why; see Registry.end()."""
        made: Run = self._call("end", run_id, status, error)
        return made

    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard) -> None:
        """Record a run's predictions on a split; see Registry.keep_evaluation()."""
        self._call("keep_evaluation", run_id, evaluation, card, at=now())

    def tag(self, run_id: str, tags: Iterable[str]) -> None:
        """Add tags to a run."""
        self._call("tag", run_id, tuple(tags))

    def by_id(self, run_id: str) -> Run:
        """The run with exactly this id."""
        made: Run = self._call("by_id", run_id)
        return made

    def checkpoint(self, run_id: str) -> Checkpoint | None:
        """The checkpoint to resume a run from; None if it must start over."""
        row = self._call("checkpoint_row", run_id)
        return state_files.checkpoint(row, run_id, self.path) if row else None  # a file is read here, not in the relay

    def curve(self, run_id: str) -> Curve:
        """A run's validation accuracies with the training and processor seconds until then."""
        made: Curve = self._call("curve", run_id)
        return made

    def validation_accuracies(self, run_id: str) -> list[float]:
        """A run's validation accuracy after each epoch."""
        made: list[float] = self._call("validation_accuracies", run_id)
        return made

    def _call(self, method: str, *arguments: Any, **more: Any) -> Any:
        return self._ask(Request(method=method, arguments=arguments, more=more))

    def _ask(self, request: Request) -> Any:
        return self.patience.through(partial(self._asked, request))

    def _asked(self, request: Request) -> Any:
        """What the relay answers. Raises LostConnectionError if it died meanwhile: the next attempt starts another."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connected()
                    self._exchange(self._connection, self._me())
                answer = self._exchange(self._connection, request)
            except (EOFError, OSError, pickle.UnpicklingError) as error:
                self._hang_up()
                why = str(error) or "it ended"
                raise LostConnectionError(
                    f"the relay to {self.path} was lost ({why}; {self._place.with_suffix('.log')} has its errors)"
                ) from None
            except BaseException:  # a signal between a request and its answer
                self._hang_up()
                raise
            self._sessions = answer.sessions or self._sessions
            self.checkpoint_seconds = answer.checkpoint_seconds or self.checkpoint_seconds
            return answer.value

    def _me(self) -> Client:
        return Client(process=Process.here(), sessions=self._sessions, tests=self._tests, sources=self._sources)

    def _exchange(self, connection: Connection, message: Client | Request) -> Answer:
        connection.send(message)
        if not connection.poll(_ANSWER_SECONDS):
            raise TimeoutError(f"it has not answered for {_ANSWER_SECONDS:.0f} s")
        answer: Answer = connection.recv()
        if answer.error:
            if isinstance(message, Client):
                self._hang_up()
            raise answer.error
        return answer

    def _hang_up(self) -> None:
        if self._connection:
            with suppress(OSError):
                self._connection.close()
        self._connection = None

    def _connected(self) -> Connection:
        """A connection to the relay, which is started if there is none. Raises OSError if that does not help."""
        until, start_at = time.monotonic() + _START_SECONDS, 0.0
        while True:
            made = socket.socket(socket.AF_UNIX)
            try:
                limit(made, _ANSWER_SECONDS)  # first, for one that is stopped may keep those that come waiting
                made.connect(str(self._place))
                return Connection(made.detach())
            except OSError:
                made.close()
                if time.monotonic() > until:
                    raise
            if time.monotonic() > start_at:  # again after a while: one that was just ending kept the first away
                _start(self._place, in_full(self.path))
                start_at = time.monotonic() + _START_AGAIN_SECONDS
            time.sleep(_LOOK_SECONDS)


def _place(location: str, code: str) -> Path:
    """The socket of this user's relay to a registry. Raises RegistryError if its folder is another user's."""
    folder = Path(tempfile.gettempdir()) / f"kws-{os.getuid()}"
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        folder = Path("/tmp") / folder.name  # noqa: S108 - it is made for this user alone, and looked at below
    _make(folder)
    digest = hashlib.sha256(f"{location}\0{code}".encode()).hexdigest()
    return folder / f"{digest[:16]}.sock"


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise RegistryError(f"{folder} is not this user's alone; remove it, or set TMPDIR to another folder")


def _start(place: Path, location: str) -> None:
    """Start a relay; if several processes do, one of them stays."""
    _make(place.parent)  # what clears temporary files, or the end of another job, may have removed it
    command = [sys.executable, "-P", "-m", "kws.registry.relay", str(place)]
    with place.with_suffix(".log").open("a") as log:  # after what the one before wrote, which tells why it ended
        subprocess.run(command, input=location, text=True, check=False, stdout=log, stderr=log)
