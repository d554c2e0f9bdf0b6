"""Answers read ahead: while a command reads very many runs, another process reads which of their answers are right.

Over 100,000 runs each of the two takes about as long, and what a run has answered never changes once it is recorded.
What the other process lacks, because it ended early or because a run has finished since, is read as ever.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from kws.events import TEST, DataCard
from kws.registry.location import Location
from kws.registry.reader import RegistryReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]

MANY = 20_000  # runs; below that, a process of its own saves nothing
_AT_ONCE = 500  # runs whose predictions are in memory beside what they come to


class ReadAhead:
    """Which answers of a registry's finished runs on their own test splits are right; none if `wanted` is not set.

    Linux only: elsewhere, or where threads run or there is one processor, nothing is read ahead.
    """

    def __init__(self, registry: RegistryReader, *, wanted: bool = True) -> None:
        self._file: IO[bytes] | None = None
        self._process = 0
        self._found: dict[str, tuple[dict[str, int], Bits]] = {}
        alone = sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1
        if wanted and alone and registry.most_runs() >= MANY:
            with suppress(OSError):  # where there is no room for either, all is read here
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed in __exit__
                self._process = os.fork()
                if not self._process:
                    _be_the_other(registry.path, self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._process:
            with suppress(OSError):
                os.kill(self._process, signal.SIGKILL)
            self._wait()
        if self._file:
            self._file.close()

    def right(self, fingerprint: str) -> tuple[dict[str, int], Bits] | None:
        """The rows of runs by id, and the bits of each row; None for a data set of which nothing was read ahead."""
        if self._process and self._wait() and self._file:
            self._file.seek(0)
            self._found = pickle.load(self._file)  # noqa: S301 - a file without a name, which our own child has written
        return self._found.get(fingerprint)

    def _wait(self) -> bool:
        """Wait for the other process; returns whether it has read all, as far as that is told."""
        process, self._process = self._process, 0
        try:
            return os.waitpid(process, 0)[1] == 0
        except ChildProcessError:  # SIGCHLD is ignored, as under some supervisors
            return False


def right_of(
    registry: RegistryReader, run_ids: Sequence[str], card: DataCard, labels: bytes
) -> Iterator[tuple[Sequence[str], Bits | None]]:
    """Some of the runs at a time, and which of the clips of that test split each predicted correctly; see bits_of().

    None for those of which one has no answers, or not as many as there are labels.
    """
    for some in parts(run_ids):
        known = registry.predictions(some, card, TEST)
        whole = len(known) == len(some) and all(len(each) == len(labels) for each in known.values())
        yield some, bits_of([known[run_id] for run_id in some], labels) if whole else None


def bits_of(answers: Sequence[bytes], labels: bytes) -> Bits:
    """Which answers of n runs to N clips are right: bits (n, N / 8), the first clip's the highest of its byte."""
    import numpy as np

    right = np.frombuffer(b"".join(answers), np.uint8).reshape(len(answers), len(labels)) == np.frombuffer(
        labels, np.uint8
    )
    return np.packbits(right, axis=1)


def parts(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Some hundred of the runs at a time."""
    return (run_ids[start : start + _AT_ONCE] for start in range(0, len(run_ids), _AT_ONCE))


def _be_the_other(path: Location, file: IO[bytes]) -> None:
    """Read, write what was found to the file, and end."""
    code = 1
    try:
        import numpy as np

        found = {}
        with RegistryReader(path) as registry:
            for fingerprint in registry.data_of_finished():
                card, rows, bits = registry.card(fingerprint), dict[str, int](), []
                labels = card.labels_of(TEST)
                answers = registry.all_predictions(card, TEST)
                while some := [*islice(answers, _AT_ONCE)]:
                    whole = [(run_id, each) for run_id, each in some if len(each) == len(labels)]
                    rows |= {run_id: row for row, (run_id, _) in enumerate(whole, len(rows))}
                    bits.append(bits_of([each for _, each in whole], labels))
                if bits:
                    found[fingerprint] = rows, np.concatenate(bits)
        pickle.dump(found, file, protocol=5)
        file.flush()
        code = 0
    except Exception:  # noqa: S110 - whoever waits for it reads what is lacking, and tells what cannot be read
        pass
    finally:
        os._exit(code)
