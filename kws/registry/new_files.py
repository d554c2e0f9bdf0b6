"""Creates new registry files: under a free name, whole or not at all, and never over an existing file."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from kws.errors import RegistryError
from kws.registry.failures import copying
from kws.registry.files import open_file

# Errors from file systems without hard links: vfat, exFAT, SMB and many FUSE mounts.
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


@contextmanager
def new_file(to: Path) -> Iterator[Path]:
    """A temporary path beside `to` that is renamed to it when the body ends: whole, or not at all.

    Raises RegistryError if `to` already exists or cannot be written.
    """
    temporary = to.parent / f".new-{os.getpid()}-{threading.get_ident()}.db"
    try:
        if to.exists() or to.is_symlink():
            raise RegistryError(f"{to} is already there; give a name that is free")
        temporary.touch(exist_ok=False)
        yield temporary
        _put(temporary, to)
    except OSError as error:
        raise RegistryError(f"{to} cannot be written ({error.strerror})") from None
    finally:
        for ending in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{temporary}{ending}").unlink()


def _put(temporary: Path, to: Path) -> None:
    """Rename the file, but never over a file that has appeared at `to` meanwhile."""
    try:
        os.link(temporary, to)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    to.touch(exist_ok=False)
    try:
        temporary.replace(to)  # replaces our own empty file
    except OSError:
        to.unlink()
        raise


def free_name(path: Path, why: str) -> Path:
    """A free name beside a file for a copy of it; `why` becomes part of the name."""
    copy, number = path.with_name(f"{path.stem}.{why}{path.suffix}"), 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.stem}.{why}-{number}{path.suffix}")
    return copy


def back_up_beside(path: Path, why: str) -> Path:
    """Copy the registry beside itself under a free name; returns the copy's path.

    Raises RegistryError that names the copy if it cannot be made; none is left then.
    """
    copy = free_name(path, why)
    try:
        with copying(path, copy), closing(open_file(path)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy
