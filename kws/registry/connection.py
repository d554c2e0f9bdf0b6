"""The registry's file: what makes it one, how it is locked, and how a missing or foreign one is told.

Decisions:
- The standard library's sqlite3, without a layer between: recording an epoch takes a tenth of a millisecond, and
  `kws compare` starts in half the time. The tables themselves are declared in kws.registry.tables.
- Write-ahead logging, so that readers and a writer do not wait for each other.
- What was recorded survives a loss of power: every commit waits for the disk (synchronous=FULL).
- A write takes its lock when it begins (BEGIN IMMEDIATE) and waits up to 30 s for another; sqlite3's own transactions,
  which begin late and can leave half a change behind, are switched off.
- A registry in a folder that cannot be written, or that was opened for reading only, is read as it lies there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import RegistryError
from kws.location import Location, ServerUrl

if TYPE_CHECKING:
    from kws.registry.backend import Connection

APPLICATION_ID = 0x6B777331  # "kws1" in the file's header says whose database this is
SCHEMA_VERSION = 4
SCHEMA = Path(__file__).parent / "schema.sql"  # the tables of kws.registry.tables; `make readme` writes it

Tell = Callable[[str], object]
_BUSY_SECONDS = 30
_LITTLE_BYTES = 64 * 1024  # less than this, and SQLite cannot make the file that its readers share
_HEADER = b"SQLite format 3\x00"


class LostConnectionError(RegistryError):
    """A connection to a server that broke within a transaction, which was not kept, or whose end is not known."""


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


class Database:
    """A registry's file, opened; with `create` it is made where there is none. For one thread at a time.

    An older registry is upgraded, after a copy of it was made beside it, whose name `tell` is told. Raises
    RegistryError where it is missing, is no registry, or is newer than this version of kws; so does every transaction
    where the file cannot be used.
    """

    def __init__(self, path: Path, *, create: bool, tell: Tell = _say) -> None:
        self.path = path
        new = is_new(path)
        if new and not create:
            raise RegistryError(f"there is no registry at {path}; `kws train` makes one, or name another with --db")
        if path.is_dir():
            raise RegistryError(f"{path} is a folder; --db names a registry file, such as experiments.db")
        if not new and not _looks_like_sqlite(path):
            raise RegistryError(f"{path} is not a SQLite database; name a registry with --db")
        with self._translated():
            self._connection = open_file(path)
            try:
                if new or (create and self._is_bare()):
                    self._make()
                if self._check() < SCHEMA_VERSION:
                    self._upgrade(tell)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the file; the last to do so leaves nothing beside it."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the file for as long as this lasts; within another transaction, that one's."""
        if self._connection.in_transaction:
            yield self._connection
            return
        with self._transaction("BEGIN"):
            yield self._connection

    @contextmanager
    def writing(self, run: str | None = None) -> Iterator[sqlite3.Connection]:  # noqa: ARG002 - see Backend
        """A transaction that has the write lock, the file's only one; it is kept whole or not at all."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield self._connection

    @contextmanager
    def untransacted(self) -> Iterator[sqlite3.Connection]:
        """The connection as it is, for what SQLite does not do in a transaction."""
        with self._translated():
            yield self._connection

    def is_writable(self) -> bool:
        """Whether the file, and what SQLite puts beside it, can be written."""
        return is_writable(self.path)

    def version(self, connection: Connection) -> object:
        """What is another number whenever another connection has changed something."""
        return connection.execute("PRAGMA data_version").fetchone()[0]

    def size(self, connection: Connection) -> tuple[int, int | None]:
        """The file's bytes, and how many of them are in free pages."""
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return pages * size, free * size

    def check(self, connection: Connection) -> list[str]:
        """Damaged pages, or rows whose foreign keys point nowhere."""
        try:
            damage = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            if not damage:
                orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
                return [f"a row of {row['table']} belongs to nothing in {row['parent']}" for row in orphans]
        except sqlite3.DatabaseError as error:
            damage = [str(error)]
        return [f"the file is damaged: {line}" for line in damage]

    def trim(self) -> None:
        """Give free pages back to the file system."""
        with suppress(RegistryError), self.untransacted() as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # execute() would give back one page

    def vacuum(self) -> None:
        """Write the file anew, compactly."""
        with self.untransacted() as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._translated():
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _failure(self.path, error) from None
        except UnicodeDecodeError as error:
            raise RegistryError(f"{self.path} is damaged: a text in it is not UTF-8 ({error.reason})") from None
        except UnicodeEncodeError as error:
            raise RegistryError(f"{error.object!r} cannot be kept in {self.path}: it is not UTF-8; rename it") from None

    def _make(self) -> None:
        """Make the tables in one transaction; of several processes that do so at once, one makes them."""
        until = time.monotonic() + _BUSY_SECONDS
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a checkpoint's pages can be given back
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:  # SQLite does not wait here, whatever its timeout
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)
        with self.writing() as connection:
            if self._is_bare():
                for statement in SCHEMA.read_text(encoding="utf-8").split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _is_bare(self) -> bool:
        """Whether the file is a database without anything in it: one that another process has only begun to make."""
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return self._pragma("application_id") == 0 and not tables

    def _check(self) -> int:
        """The file's schema."""
        with self.reading():  # one state of it, for another process may just be making it
            application, bare, schema = self._pragma("application_id"), self._is_bare(), self._pragma("user_version")
        if application != APPLICATION_ID:
            if bare:  # another process has only begun to make it
                raise RegistryError(f"there is no registry at {self.path} yet; try again in a moment")
            raise RegistryError(f"{self.path} is a SQLite database, but not a registry of kws; name another with --db")
        if schema < 1:
            raise RegistryError(f"{self.path} has the schema {schema}, which never was; it is damaged")
        if schema > SCHEMA_VERSION:
            raise RegistryError(
                f"{self.path} has schema {schema}, and this version of kws knows up to {SCHEMA_VERSION}; upgrade kws"
            )
        return schema

    def _upgrade(self, tell: Tell) -> None:
        if not is_writable(self.path):
            raise RegistryError(
                f"{self.path} has an older schema and cannot be written; copy it to where it can be upgraded"
            )
        from sqlalchemy.exc import DBAPIError

        from kws.registry.upgrade import upgrade

        try:
            copy = upgrade(self.path)
        except DBAPIError as error:
            raise error.orig or error from None
        if copy:
            with suppress(sqlite3.Error):  # so that this file, too, can give back a checkpoint's pages
                self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                self._connection.execute("VACUUM")
            tell(f"{self.path} was upgraded to schema {SCHEMA_VERSION}; as it was, it is kept as {copy}")

    def _pragma(self, name: str) -> int:
        (value,) = self._connection.execute(f"PRAGMA {name}").fetchone()
        return value


def is_new(path: Location) -> bool:
    """Whether there is no registry at `path` yet. Raises RegistryError where none could be made there either."""
    if isinstance(path, ServerUrl):
        from kws.registry.postgres import is_new_on_server

        return is_new_on_server(path)
    try:
        if path.exists() and path.stat().st_size:
            return False
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror}); choose another --db") from None
    if not path.parent.is_dir():
        raise RegistryError(f"the folder of {path} does not exist; make it, or choose another --db")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise RegistryError(f"{path} cannot be written; check its and its folder's permissions, or choose another --db")
    return True


def is_writable(path: Path) -> bool:
    """Whether the file, and what SQLite puts beside it, can be written."""
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def open_file(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is not looked at yet. Raises sqlite3.Error."""
    writable = is_writable(path)
    # Beside a live writer (its -wal is there) SQLite can share that; without one it would have to make a file.
    live = Path(f"{path}-wal").exists()
    mode = "rwc" if writable else "ro" if live else "ro&immutable=1"
    # Path.as_uri quotes what a file's name may hold and a URI may not.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")  # a file from elsewhere may hold more than tables
    return connection


@contextmanager
def new_file(to: Path) -> Iterator[Path]:
    """A temporary path beside `to`, which takes that name when the body ends: whole, or not at all.

    Raises RegistryError where there is something at `to`, or it cannot be written.
    """
    temporary = to.parent / f".new-{os.getpid()}-{threading.get_ident()}.db"
    try:
        if to.exists() or to.is_symlink():
            raise RegistryError(f"{to} is already there; give a name that is free")
        temporary.touch(exist_ok=False)
        yield temporary
        os.link(temporary, to)  # unlike a rename, never over what has appeared there meanwhile
    except OSError as error:
        raise RegistryError(f"{to} cannot be written ({error.strerror})") from None
    finally:
        for ending in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{temporary}{ending}").unlink()


def free_name(path: Path, why: str) -> Path:
    """A name beside a file for a copy of it that nothing has yet."""
    copy, number = path.with_name(f"{path.stem}.{why}{path.suffix}"), 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.stem}.{why}-{number}{path.suffix}")
    return copy


def back_up_beside(path: Path, why: str) -> Path:
    """A copy of the registry beside it under a name that was free; returns its path."""
    copy = free_name(path, why)
    with closing(open_file(path)) as here, closing(sqlite3.connect(copy)) as there:
        here.backup(there)
    return copy


def _failure(path: Path, error: sqlite3.Error) -> RegistryError:
    """What went wrong in the database, in one sentence."""
    reason = str(error)
    if "locked" in reason:
        return RegistryError(f"{path} was locked by another program for {_BUSY_SECONDS} s; try again when it is done")
    if "full" in reason or ("I/O" in reason and _is_disk_full(path)):
        return RegistryError(f"{path} cannot grow: the disk is full; free some space and run the command again")
    if "readonly" in reason or "unable to open" in reason:
        return RegistryError(
            f"{path} cannot be written; check its and its folder's permissions, or choose another --db"
        )
    return RegistryError(f"{path} cannot be used as a registry ({reason})")


def _is_disk_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_BYTES
    except OSError:
        return False


def _looks_like_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror})") from None
