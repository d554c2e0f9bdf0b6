"""Keeps freed memory in the process, so that the next micro-batch can reuse it.

glibc returns large blocks to the system when they are freed, and gets new ones page by page when they are needed again:
once for every activation of every micro-batch. Where page faults are expensive, above all in a virtual machine, that is
most of the time of a training step (benchmarks/ measures it). Other C libraries are not changed.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_NEVER = 2**31 - 1  # bytes; mallopt takes an int
_GROW_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory; returns whether it does. Does nothing without glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = ((_M_MMAP_THRESHOLD, _NEVER), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROW_BYTES))
    taken = [mallopt(option, value) for option, value in settings]
    return all(result == 1 for result in taken)
