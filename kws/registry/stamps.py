"""Stamps: what tells the file that a path leads to now from another, without asking for times where none are needed.

Linux since 6.13 gives a file a time of its own for every write after somebody has asked for its last one, and
fdatasync then takes a third longer (0.16 ms rather than 0.12 on ext4). The log of a registry is looked at around
every commit, so it is asked only for its identity; os.stat cannot leave the times out.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

Stamp = tuple[int, ...]  # a file's device and inode, and optionally its size and time of last write; () for none

_HERE, _INODE = -100, 0x100  # of Linux's statx
_TOLD = struct.Struct("=I28xQ96xII")  # struct statx: what is told, the inode, and the device's two numbers
_ROOM = 256  # bytes of a struct statx


def stamp(path: Path | str, *, written: bool = False) -> Stamp:
    """Device and inode of a file, with `written` also its size and modification time; () if it is missing."""
    ask = None if written else _statx()
    if ask is not None and (identity := ask(str(path))) is not None:
        return identity
    try:
        about = os.stat(path)  # noqa: PTH116 - called several times for each record
    except OSError:
        return ()
    return (about.st_dev, about.st_ino, *((about.st_size, about.st_mtime_ns) if written else ()))


@cache
def _statx() -> Callable[[str], Stamp | None] | None:
    """A function that asks Linux's statx for device and inode; it returns None if they are not told. None elsewhere."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        statx = ctypes.CDLL(None).statx
    except (ImportError, OSError, AttributeError):  # an old C library, or Python without ctypes
        return None
    statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    room, unpack, encoded = ctypes.c_char * _ROOM, _TOLD.unpack_from, lru_cache(64)(os.fsencode)

    def ask(path: str) -> Stamp | None:
        answer = room()  # one a call: other threads may ask at the same time
        if statx(_HERE, encoded(path), 0, _INODE, answer):
            return None
        told, inode, major, minor = unpack(answer)
        return (os.makedev(major, minor), inode) if told & _INODE else None

    return ask
