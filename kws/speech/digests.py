"""Digests of files: data derived from a file is keyed by the file's content, not by its name or time.

Reading 12,000 clips to digest them takes a second or two, so digests are kept in the cache. They are keyed by the
file's device, inode, size and both times: no program can set the time of change (ctime), which every write, rename or
copy renews. A file that changed within two seconds before it was read is digested again next time, because the clock's
resolution could hide a second change.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kws.recipe import cores
from kws.speech.cache import cache_folder
from kws.speech.progress import Track, untracked

_FORM = struct.Struct("<QQqqq32s")
_SETTLED_NS = 2_000_000_000
_BATCH = 64
_SMALL = 1 << 20  # bytes
_MANY = 2_000  # digesting more files than this takes long enough to show progress


class Stamp(NamedTuple):
    """Identifies a file and its version, as long as the file stays where it is."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, about: os.stat_result) -> Stamp:
        """The stamp from a file's stat result."""
        return cls(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def of_files(folder: Path, files: Sequence[tuple[str, Stamp]], *, track: Track = untracked) -> list[bytes]:
    """The SHA-256 of each of these files (N,) in `folder`; b"" for a file that cannot be read.

    Known digests come from the cache, if it can be read and written.
    """
    kept = cache_folder() / "digests" / hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    known = _read(kept)
    new = [*dict.fromkeys((path, stamp) for path, stamp in files if stamp not in known)]
    if new:
        began = time.time_ns()
        batches = [new[i : i + _BATCH] for i in range(0, len(new), _BATCH)]
        with ThreadPoolExecutor(cores()) as pool:
            made = pool.map(lambda batch: [_digest(path) for path, _ in batch], batches)
            shown = track if len(new) > _MANY else untracked
            digests = [d for batch in shown(made, total=len(batches), what="Reading files") for d in batch]
        found = dict(zip((stamp for _, stamp in new), digests, strict=True))
        settled = {stamp: d for stamp, d in found.items() if d and stamp.changed_ns < began - _SETTLED_NS}
        if settled:
            there = {stamp for _, stamp in files}
            _write(kept, {stamp: digest for stamp, digest in known.items() if stamp in there} | settled)
        known |= found
    return [known[stamp] for _, stamp in files]


def _digest(path: str) -> bytes:
    """A regular file's SHA-256; b"" for a pipe or device with a clip's name, which may never end."""
    try:
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return b""
            if about.st_size > _SMALL:  # else at once: a buffer for each file takes longer than to digest a clip
                return hashlib.file_digest(file, "sha256").digest()
            return hashlib.sha256(file.readall()).digest()
    except OSError:  # the code that reads the clip will report why
        return b""


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(kept: Path) -> dict[Stamp, bytes]:
    try:
        data = kept.read_bytes()
    except OSError:
        return {}
    whole = len(data) - len(data) % _FORM.size
    return {Stamp(*numbers): digest for *numbers, digest in _FORM.iter_unpack(data[:whole])}


def _write(kept: Path, digests: dict[Stamp, bytes]) -> None:
    """Rewrite the cache file, completely or not at all; if that fails, files are digested again next time."""
    temporary = kept.with_name(f".{kept.name}-{os.getpid()}")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(b"".join(_FORM.pack(*stamp, digest) for stamp, digest in digests.items()))
        temporary.replace(kept)
