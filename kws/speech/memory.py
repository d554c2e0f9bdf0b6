"""Memory that is freed stays with the process, so that the next slice of a minibatch finds it ready.

glibc hands large blocks back to the system when they are freed, and takes new ones, page by page, when they are wanted
again: once for every activation of every slice. Where a page fault is expensive, a virtual machine above all, that is
most of the time of a training step (benchmarks/ measures it). Other C libraries are left as they are.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_NEVER = 2**31 - 1  # bytes; mallopt takes an int
_GROW_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed; returns whether it does. Without glibc nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = ((_M_MMAP_THRESHOLD, _NEVER), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _GROW_BYTES))
    taken = [mallopt(option, value) for option, value in settings]
    return all(result == 1 for result in taken)
