"""Recorder: records a run's epochs beside its training, in order, and never makes the training wait for the registry.

A thread of its own records each epoch as it comes. While it waits, for the disk, for other writers or for a server that
is away, epochs gather, and the next transaction takes them all. An epoch counts as recorded once its transaction has
been committed; recorded() tells which are, so that none is shown before. Of checkpoints only the newest waits. What
waits is bounded: a training that is too far ahead waits, too.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kws.events import EpochEnd
from kws.recipe import counted
from kws.registry.patience import STOP_SECONDS
from kws.registry.process import HEARTBEAT_SECONDS

if TYPE_CHECKING:
    from kws.registry.relayed import RelayedRegistry
    from kws.registry.store import Registry

MOST_BYTES = 32_000_000  # of epochs that wait
_MOST_EPOCHS = 1_000  # in one transaction
_EPOCH_BYTES, _ITERATION_BYTES = 1_000, 150  # of an epoch in memory, about
_AGAIN_SECONDS = 60.0  # between two messages about checkpoints that cannot be written


class Recorder:
    """Records the epochs of a run of this process; nobody else may use the registry until the `with` block is left.

    Leaving it waits until everything is recorded: for as long as the registry's patience lasts, or STOP_SECONDS if the
    run was interrupted, after which nobody asks the registry any more. Its patience says how far the training is ahead;
    `say` gets a sentence when checkpoints cannot be written to their files.
    """

    def __init__(
        self, registry: Registry | RelayedRegistry, run_id: str, say: Callable[[str], object] = lambda _: None
    ) -> None:
        self._registry, self._run_id, self._say = registry, run_id, say
        self._change = threading.Condition()
        self._waiting: deque[EpochEnd] = deque()
        self._bytes = 0  # of those that wait, about
        self._checkpoint: tuple[int, bytes] | None = None
        self._recorded: list[EpochEnd] = []
        self._busy = self._closed = False
        self._in_hand = 0  # epochs that are being recorded
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=f"records {run_id}", daemon=True)
        self._told_of_files = float("-inf")
        self.checkpoint_seconds = 0.0  # that the last checkpoint took, of all who share the registry's writer

    def __enter__(self) -> Self:
        self._registry.patience.meanwhile = self._ahead
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        patience, seconds = self._registry.patience, math.inf
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            seconds = STOP_SECONDS
            patience.end_in(seconds)
        ended = False
        try:
            ended = self._wait(self._is_done, raising=kind is None, seconds=seconds)
        except KeyboardInterrupt:
            if seconds == math.inf:  # else it is the second one
                patience.end_in(STOP_SECONDS)
                ended = self._wait(self._is_done, raising=False, seconds=STOP_SECONDS)
            raise
        finally:
            with self._change:
                self._closed = True
                self._change.notify_all()
            if ended or self._error is not None:
                self._thread.join()
            else:  # it still waits for an answer, and whoever has stopped the run does not
                patience.give_up()
            patience.meanwhile = lambda: ""

    def _ahead(self) -> str:
        ahead = counted(len(self._waiting) + self._in_hand, "epoch")
        return f"the training goes on, {ahead} ahead, and "

    def add(self, epoch: EpochEnd, checkpoint: bytes | None = None) -> None:
        """Record an epoch soon, and the checkpoint of the state after it.

        Waits if the training is too far ahead. Raises what an earlier epoch could not be recorded for: ReplacedError,
        RegistryError if another process has resumed the run, UnavailableError if the registry was away for too long.
        """
        with self._change:
            self._waiting.append(epoch)
            self._bytes += _size(epoch)
            if checkpoint is not None:
                self._checkpoint = epoch.epoch, checkpoint
            if self._error is not None:
                self._registry.remember(self._run_id, [epoch], self._checkpoint)
            self._change.notify_all()
        self._wait(lambda: self._bytes <= MOST_BYTES)

    def recorded(self) -> list[EpochEnd]:
        """The epochs that have been recorded since this was asked last, in order."""
        self._tell()
        if not self._recorded:
            return []
        with self._change:
            made, self._recorded = self._recorded, []
        return made

    def flush(self) -> None:
        """Wait until all epochs are recorded; raises what add() does."""
        self._wait(self._is_done)

    def _is_done(self) -> bool:
        return not (self._waiting or self._busy)

    def _wait(self, is_done: Callable[[], bool], *, raising: bool = True, seconds: float = math.inf) -> bool:
        """Wait until something is so, or an epoch could not be recorded; False after so many seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            with self._change:
                ended = self._change.wait_for(lambda: self._error is not None or is_done(), min(left, 1.0))
                if self._error is not None and raising:
                    raise self._error
                if ended:
                    return True
            self._tell()
        return False

    def _tell(self) -> None:
        """Say that the registry is away, or back, and that checkpoints cannot be written."""
        now = time.monotonic()
        if (files := self._registry.files) and files.trouble and now - self._told_of_files > _AGAIN_SECONDS:
            self._told_of_files = now
            self._say(f"note: {files.trouble}; the training goes on, and tries again with the next one")
        self._registry.patience.tell()

    def _work(self) -> None:
        try:
            while True:
                with self._change:
                    self._change.wait_for(lambda: self._waiting or self._closed, HEARTBEAT_SECONDS)
                    if self._closed:
                        return
                    epochs = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_EPOCHS))]
                    checkpoint = None
                    if self._checkpoint and epochs and self._checkpoint[0] <= epochs[-1].epoch:
                        checkpoint, self._checkpoint = self._checkpoint, None
                    self._bytes -= sum(map(_size, epochs))
                    self._busy, self._in_hand = True, len(epochs)
                start = time.monotonic()
                if epochs:
                    self._registry.record_all(self._run_id, epochs, checkpoint)
                else:
                    self._registry.beat(self._run_id)
                with self._change:
                    self._busy, self._in_hand = False, 0
                    self._recorded += epochs
                    if checkpoint:
                        self.checkpoint_seconds = self._registry.checkpoint_seconds or time.monotonic() - start
                    self._change.notify_all()
        except BaseException as error:
            with self._change:
                self._error, self._busy = error, False  # first: nobody waits for a thread that has ended
                self._change.notify_all()
                self._registry.remember(self._run_id, [*self._waiting], self._checkpoint)


def _size(epoch: EpochEnd) -> int:
    return _EPOCH_BYTES + _ITERATION_BYTES * len(epoch.iterations)
