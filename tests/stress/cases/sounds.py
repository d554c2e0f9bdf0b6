"""Recordings as libsndfile writes them, the same bytes every time."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

_CPU_SECONDS = 5


def write(path: Path, samples: np.ndarray, rate: int, **wanted: Any) -> bool:
    """Write a recording; False where libsndfile does not write such a one.

    Some of what it is asked for here makes it crash, so a child does it.
    """
    pid = os.fork()
    if not pid:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
            soundfile.write(os.fsencode(path), samples, rate, **wanted)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if status or not path.is_file():
        path.unlink(missing_ok=True)
        return False
    data = path.read_bytes()
    path.write_bytes(_with_serial(data) if data[:4] == b"OggS" else _without_time(data))
    return True


def _without_time(data: bytes) -> bytes:
    """A WAV or AIFF file of floats without the time at which its peaks were found."""
    at = data.find(b"PEAK", 0, 200)
    return data if at < 0 else data[: at + 12] + bytes(4) + data[at + 16 :]


def _with_serial(data: bytes) -> bytes:
    """An Ogg file whose pages say they belong to stream 1: libsndfile draws another number each time."""
    changed, at = bytearray(data), 0
    while changed[at : at + 4] == b"OggS":
        segments = changed[at + 26]
        end = at + 27 + segments + sum(changed[at + 27 : at + 27 + segments])
        changed[at + 14 : at + 18], changed[at + 22 : at + 26] = struct.pack("<I", 1), bytes(4)
        changed[at + 22 : at + 26] = struct.pack("<I", _checksum(changed[at:end]))
        at = end
    return bytes(changed)


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32, which is not zlib's."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value
