"""Turns SQLite errors into one-sentence RegistryErrors, chosen by SQLite's error code, not by its message."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kws.errors import RegistryError, UnavailableError
from kws.registry import files
from kws.registry.files import primary

_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_LITTLE_BYTES = 64 * 1024  # with less than this, SQLite cannot create the -shm file


def failure(path: Path, error: sqlite3.Error) -> RegistryError:
    """The RegistryError for a SQLite error: what went wrong and what to do, in one sentence."""
    code, reason = primary(error), str(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UnavailableError(
            f"{path} was locked by another program for {files.BUSY_SECONDS} s", "try again when it is done"
        )
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_disk_full(path)):
        return RegistryError(f"{path} cannot grow: the disk is full; free some space and run the command again")
    if code == sqlite3.SQLITE_NOTADB:
        return RegistryError(f"{path} is not a SQLite database; name a registry with --db")
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK:
        return RegistryError(
            f"{path} cannot be read here, for a write to it was cut short and cannot be undone where nothing may be "
            "written; copy it and its -journal to where that can be"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return RegistryError(
            f"{path} cannot be written; check its and its folder's permissions, or choose another --db"
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return RegistryError(
            f"{path} cannot be opened, or what SQLite keeps beside it; check its and its folder's permissions, "
            "or choose another --db"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return RegistryError(f"{path} is damaged ({reason}); put a copy of it back that is whole")
    return RegistryError(f"{path} cannot be used as a registry ({reason})")


@contextmanager
def copying(source: Path | None, copy: Path) -> Iterator[None]:
    """Raise RegistryError for SQLite's errors: it names the copy where that cannot be written, else its source file."""
    try:
        yield
    except sqlite3.Error as error:
        is_of_source = primary(error) not in (*_OF_THE_DISK, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
        raise failure(source if source and is_of_source else copy, error) from None


def _is_disk_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_BYTES
    except OSError:
        return False
