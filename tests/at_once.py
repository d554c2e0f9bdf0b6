"""For tests of processes that do something to one registry at the same time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

fork = multiprocessing.get_context("fork")


def at_once(act: Callable[..., None], of_each: Sequence[tuple[Any, ...]], seconds: float = 60.0) -> list[Any]:
    """What act(*arguments, barrier, told) puts into `told`, once by each of so many processes; all end well."""
    barrier, told = fork.Barrier(len(of_each)), fork.SimpleQueue()
    processes = [fork.Process(target=act, args=(*arguments, barrier, told)) for arguments in of_each]
    for process in processes:
        process.start()
    for process in processes:
        process.join(seconds)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    return [told.get() for _ in processes]
