"""Work that is the same for every part of a minibatch, on several threads of Python with one of PyTorch's each.

PyTorch divides every operation among its threads and waits for all of them after each. For the small operations on a
part that stays in the cache that costs more than it gains. Here a thread takes part after part and computes it from end
to end; PyTorch holds no lock of Python meanwhile. What is computed does not depend on which thread does so, so several
parts have the same bits with any number of threads. A single part is left to PyTorch's own threads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # New threads flush denormal numbers to zero if the thread that starts them does.
    return ThreadPoolExecutor(threads, "kws-parts", initializer=_alone)


def _alone() -> None:
    """Let PyTorch compute on this thread alone."""
    torch.set_num_threads(1)
    torch.get_num_threads()  # takes what any thread has set last, once for each thread, so while that is 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def each(parts: int, work: Callable[..., Result], *about: Any) -> list[Result]:
    """work(0, *about) .. work(parts - 1, *about), in this order, without gradients, on torch.get_num_threads() threads.

    Raises what any of them raises.
    """
    threads = torch.get_num_threads()
    results: list[Any] = [None] * parts
    numbers = itertools.count()

    @torch.no_grad()
    def take() -> None:
        while (part := next(numbers)) < parts:
            results[part] = work(part, *about)

    if threads == 1 or parts == 1:
        take()
        return results
    torch.set_num_threads(1)
    helpers = [_pool(threads - 1).submit(take) for _ in range(min(threads, parts) - 1)]
    try:
        take()
    finally:
        wait(helpers)
        torch.set_num_threads(threads)
    for helper in helpers:
        helper.result()
    return results
