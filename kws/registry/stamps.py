"""Stamps: what tells the file that a path leads to now from another, and asks for no times where none are needed.

Linux since 6.13 gives a file a time of its own for every write after somebody has asked for its last one, and
fdatasync then takes a third longer (0.16 ms rather than 0.12 on ext4). A log that grows with every epoch is looked
at between any two of them, so it is asked only for its number and size; os.stat cannot leave the times out.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

Stamp = tuple[int, ...]  # a file's identity, and optionally its size and time of last write; () for none

_HERE, _INODE, _SIZE = -100, 0x100, 0x200  # of Linux's statx
_WANTED = _INODE | _SIZE
_TOLD = struct.Struct("=I28xQQ88xII")  # struct statx: what is told, inode, size, and the device's two numbers
_ROOM = 256


def stamp(path: Path | str, *, written: bool = False) -> Stamp:
    """Device and inode of a file, with `written` also its size and modification time; () if it is missing."""
    try:
        about = os.stat(path)  # noqa: PTH116 - called several times for each record
    except OSError:
        return ()
    return (about.st_dev, about.st_ino, *((about.st_size, about.st_mtime_ns) if written else ()))


def untimed(path: str) -> tuple[int, int, int] | None:
    """Device, inode and size of a file, without asking for its times where the system allows that; None if missing."""
    ask = _statx()
    if ask is not None and (found := ask(path)) is not None:
        return found
    try:
        about = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size


@cache
def _statx() -> Callable[[str], tuple[int, int, int] | None] | None:
    """What asks Linux's statx for device, inode and size, and returns None if it does not tell; None without statx."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        statx = ctypes.CDLL(None).statx
    except (ImportError, OSError, AttributeError):  # an old C library, or Python without ctypes
        return None
    statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    room, unpack, encoded = ctypes.c_char * _ROOM, _TOLD.unpack_from, lru_cache(64)(os.fsencode)

    def ask(path: str) -> tuple[int, int, int] | None:
        answer = room()  # one a call: other threads may ask at the same time
        if statx(_HERE, encoded(path), 0, _WANTED, answer):
            return None
        told, inode, size, major, minor = unpack(answer)
        return (os.makedev(major, minor), inode, size) if told & _WANTED == _WANTED else None

    return ask
