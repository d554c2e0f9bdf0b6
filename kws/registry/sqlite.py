"""The registry in a SQLite file: how it is created, recognised, locked, upgraded and reopened.

Decisions:
- The standard library's sqlite3 without an ORM: recording an epoch takes a tenth of a millisecond, and
  `kws compare` starts in half the time. The tables themselves are declared in kws.registry.tables.
- Write-ahead logging, so that readers and a writer do not block each other.
- Committed records survive a power failure: every commit waits for the disk (synchronous=FULL).
- A write takes its lock when it begins (BEGIN IMMEDIATE). It waits up to 30 s for its turn, and as long for a program
  that knows of none. sqlite3's implicit transactions are off: they begin late and can leave half a change behind.
- A registry in a read-only folder, or one opened for reading only, is read in place.
- Every transaction uses the file that the path leads to now. If that is another file than before, it is reopened; if a
  run is being recorded, that run fails instead (see kws.registry.binding).
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import RegistryError
from kws.registry import files
from kws.registry.failures import failure
from kws.registry.files import File, is_writable, open_file, primary, real_path
from kws.registry.schema import SCHEMA_VERSION
from kws.registry.stamps import stamp
from kws.registry.wal import in_use

if TYPE_CHECKING:
    from kws.registry.binding import Beat, Binding
    from kws.registry.protocols import Connection

APPLICATION_ID = 0x6B777331  # "kws1" in the file's header marks it as a kws registry
SCHEMA = Path(__file__).parent / "schema.sql"  # the tables of kws.registry.tables; `make readme` writes it

Tell = Callable[[str], object]
_MOVING_SECONDS = 1.0  # how long a file may be missing while it is being replaced
_SURE_SECONDS = 2.0  # how long a log must be another file's before it is taken for that
_AGAIN_SECONDS = 0.05
_TRIES = 5  # to have the write lock on the file as it was looked at
_SMALLEST = 512  # bytes: SQLite's smallest page
_WRITE = "BEGIN IMMEDIATE"


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


class Database:
    """An open registry file; with `create` it is created if there is none. For one thread at a time.

    An older registry is first copied beside itself, then upgraded; `tell` gets a message that names the copy. Raises
    RegistryError if the file is missing, is not a registry, or is newer than this version of kws. Every transaction
    raises it if the file cannot be used.
    """

    again_seconds = 0.0

    def __init__(self, path: Path, *, create: bool, tell: Tell = _say) -> None:
        self.path, self._tell = path, tell
        self.generation = 0  # counts up with every file that is opened
        self._bindings: dict[str, Binding] = {}  # of the runs that are being recorded
        self._checked = 0  # the generation whose log was looked at in a transaction
        self._anchor: Beat | None = None  # the last heartbeat seen of the run recorded before these
        self._open(create=create)

    def _open(self, *, create: bool) -> None:
        """Open the file that the path leads to now. Raises RegistryError if it cannot be used."""
        new = is_new_file(self.path)
        if new and not create:
            raise RegistryError(
                f"there is no registry at {self.path}; `kws train` makes one, or name another with --db"
            )
        if self.path.is_dir():
            raise RegistryError(f"{self.path} is a folder; --db names a registry file, such as experiments.db")
        if not new and _size(self.path) < _SMALLEST:  # SQLite would take it for an empty database
            raise RegistryError(f"{self.path} is not a SQLite database; name a registry with --db")
        if not os.access(self.path, os.R_OK) and not new:
            raise RegistryError(f"{self.path} cannot be read; ask for the permission to, or name another with --db")
        with self._translated():
            self._connection = open_file(self.path, make=create)
            try:
                if new or (create and self._is_bare()):
                    self._make()
                if self._check() < SCHEMA_VERSION:
                    self._upgrade(self._tell)
            except BaseException:
                self.close()
                raise
        self.generation += 1

    def close(self) -> None:
        """Close the file; the last process to do so leaves no log beside it."""
        if self._connection.is_current() and not self._connection.is_as_it_was():
            self._leave()  # and reopen it, which checks whether the log belongs to the file
            with suppress(RegistryError, sqlite3.Error):
                self._connection = open_file(self.path)
        self._connection.leave()

    def _leave(self) -> None:
        """Close the file without mixing its log into the file at the path; if that is another, move the log away."""
        there = True
        if self._connection.is_current():
            signs = [binding.last_seen() for binding in self._bindings.values()] or [self._anchor]
            there = all(sign.is_at_path(self._connection) for sign in signs if sign)
            if not any(signs) and self._checked == self.generation and not self._connection.is_as_it_was():
                self._connection.disown_log()
        self._connection.leave(written_over=not there)

    def hold(self, run: str, session: int) -> None:
        """Start recording a run: until release(), this file and no other must be at the path."""
        from kws.registry.binding import Binding

        self._bindings[run] = Binding(run, session, self._anchor)

    def confirm(self, run: str, beat: str, *, thoroughly: bool = False) -> None:
        """Check that the commit with this heartbeat is in the file at the path; only for runs passed to hold().

        Raises ReplacedError if it is not.
        """
        if binding := self._bindings.get(run):
            binding.beats.append(beat)
            self._confirm(binding, thoroughly=thoroughly)

    def release(self, run: str) -> None:
        """Stop recording a run."""
        if binding := self._bindings.pop(run, None):
            self._anchor = binding.last_seen()

    def abandon(self) -> None:
        """Close a file that is no longer the one at the path, and forget the runs recorded in it."""
        self._bindings.clear()
        self._anchor = None
        with self._translated():
            self._connection.leave(written_over=self._connection.is_current())

    def _confirm(self, binding: Binding, *, thoroughly: bool) -> None:
        if not thoroughly and binding.is_sure(self._connection):
            return
        if binding.confirm(self._connection, thoroughly=thoroughly):
            self._connection.leave()
            try:
                self._open(create=False)
            except RegistryError as error:  # e.g. another process still has the previous file open
                from kws.registry.binding import ReplacedError

                raise ReplacedError(f"{self.path} was replaced while the run was recorded in it ({error})") from None
            binding.looked = ()
        self._connection.trust(binding.looked[0] if binding.looked else None)

    def _follow(self, *, writing: bool) -> None:
        """Reopen the file if the path leads to another one; while a run is recorded, check that it does not."""
        if self._bindings:
            for binding in [each for each in self._bindings.values() if writing and each.beats]:
                self._confirm(binding, thoroughly=False)
            return
        if self._connection.is_current() and self._connection.is_as_it_was():
            return
        until = time.monotonic() + _MOVING_SECONDS
        while not self.path.exists() and time.monotonic() < until:
            time.sleep(_AGAIN_SECONDS)
        self._leave()
        self._anchor = None
        self._open(create=False)

    @contextmanager
    def reading(self) -> Iterator[File]:
        """A connection that sees one snapshot of the file; inside another transaction, that one's snapshot."""
        if self._connection.stamps and self._connection.in_transaction:
            yield self._connection
            return
        self._follow(writing=False)
        with self._transaction("BEGIN"):
            yield self._connection

    @contextmanager
    def writing(self, *runs: str) -> Iterator[File]:  # noqa: ARG002 - see Backend
        """A transaction that holds the file's only write lock; it is committed whole or rolled back."""
        left, until = _TRIES, time.monotonic() + _SURE_SECONDS
        while True:
            self._follow(writing=True)
            with self._transaction(_WRITE):
                left -= 1
                if not self._connection.is_as_it_was():  # while this waited, another process checkpointed the log
                    seen = stamp(self._connection.real, written=True)
                    if seen and (self._connection.is_told(seen) or self._connection.has_its_log()):
                        self._connection.trust(seen)
                    elif left > 0:
                        continue
                # When this opened the file, somebody may have been about to commit to the log of the file before.
                if self._checked != self.generation and self._connection.has_its_log():
                    self._checked = self.generation
                if self._checked == self.generation:
                    self._connection.tell_base()
                    yield self._connection
            if self._checked == self.generation:
                return
            if time.monotonic() > until:
                raise RegistryError(in_use(self.path, "another process"))
            time.sleep(_AGAIN_SECONDS)

    @contextmanager
    def untransacted(self) -> Iterator[sqlite3.Connection]:
        """The bare connection, for statements that SQLite does not run in a transaction."""
        self._follow(writing=True)
        with self._translated():
            yield self._connection

    @property
    def identity(self) -> object:
        """Device and inode of the open file."""
        return self._connection.stamps[0][:2]

    def is_writable(self) -> bool:
        """Whether the file and the files that SQLite keeps beside it can be written."""
        return is_writable(self.path)

    def version(self, connection: Connection) -> object:
        """A value that changes whenever another connection changes something, or another file is opened."""
        return self.generation, connection.execute("PRAGMA data_version").fetchone()[0]

    def size(self, connection: Connection) -> tuple[int, int | None]:
        """The file's size in bytes, and how many of them are in free pages."""
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return pages * size, free * size

    def check(self, connection: Connection) -> list[str]:
        """Damaged pages, or else rows whose foreign keys point nowhere; one sentence each."""
        try:
            damage = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            if not damage:
                orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
                return [f"a row of {row['table']} belongs to nothing in {row['parent']}" for row in orphans]
        except sqlite3.DatabaseError as error:
            damage = [str(error)]
        return [f"the file is damaged: {line}" for line in damage]

    def trim(self) -> None:
        """Return free pages to the file system."""
        with suppress(RegistryError), self.writing() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            for _ in range(free):
                connection.execute("PRAGMA incremental_vacuum")  # of one page: Python does no more than its first step

    def vacuum(self) -> None:
        """Rewrite the file compactly."""
        with self.untransacted() as connection, self._connection.turn():
            connection.execute("VACUUM")
            self._connection.empty_log()
            self._connection.trust()
        with self.writing():
            pass  # where somebody who reads keeps the log, it must tell what it builds on

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._translated(), self._connection.turn() if begin == _WRITE else nullcontext():
            try:  # a signal may come as soon as the transaction has begun
                self._connection.execute(begin)
                with self._connection.without_checkpoints() if begin == _WRITE else nullcontext():
                    yield
                    self._connection.execute("COMMIT")
                if begin == _WRITE:
                    self._connection.write_long_log()
            except BaseException:
                self._connection.rollback()
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._require_bound()
            raise failure(self.path, error) from None
        except UnicodeDecodeError as error:
            raise RegistryError(f"{self.path} is damaged: a text in it is not UTF-8 ({error.reason})") from None
        except UnicodeEncodeError as error:
            raise RegistryError(f"{error.object!r} cannot be kept in {self.path}: it is not UTF-8; rename it") from None

    def _require_bound(self) -> None:
        """After an error: raise ReplacedError if a run is being recorded and another file is at the path."""
        for binding in self._bindings.values():
            if binding.beats:
                binding.confirm(self._connection, thoroughly=False)

    def _make(self) -> None:
        """Create the tables in one transaction; if several processes try at once, one of them does it."""
        until = time.monotonic() + files.BUSY_SECONDS
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a checkpoint's pages can be returned
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:  # SQLite does not wait here, whatever the timeout
                if primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)
        with self._transaction(_WRITE):
            connection = self._connection
            if self._is_bare():
                for statement in SCHEMA.read_text(encoding="utf-8").split(";"):
                    connection.execute(statement)
                from kws.registry import view

                view.create(connection)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._connection.bind()  # to the log, which did not exist before

    def _is_bare(self) -> bool:
        """Whether the file is an empty database: one that another process has only begun to create."""
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return self._pragma("application_id") == 0 and not tables

    def _check(self) -> int:
        """The file's schema number. Raises RegistryError if this version of kws cannot read it."""
        with self._transaction("BEGIN"):  # one snapshot: another process may be creating it right now
            application, bare, schema = self._pragma("application_id"), self._is_bare(), self._pragma("user_version")
        if application != APPLICATION_ID:
            if bare:  # another process has only begun to create it
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
        from kws.registry.upgrade import upgrade

        if copy := upgrade(self.path):
            with suppress(sqlite3.Error):  # so that this file, too, can return a checkpoint's pages
                self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                self._connection.execute("VACUUM")
            tell(f"{self.path} was upgraded to schema {SCHEMA_VERSION}; as it was, it is kept as {copy}")

    def _pragma(self, name: str) -> int:
        (value,) = self._connection.execute(f"PRAGMA {name}").fetchone()
        return value


def _size(path: Path) -> int:
    """A file's bytes. Raises RegistryError if it has been removed since it was looked for."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror}); choose another --db") from None


def is_new_file(path: Path) -> bool:
    """Whether there is no registry at `path` yet. Raises RegistryError if none could be created there either."""
    try:
        if path.exists() and path.stat().st_size:
            return False
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror}); choose another --db") from None
    real = real_path(path)
    if not real.parent.is_dir():
        raise RegistryError(f"the folder of {path} does not exist; make it, or choose another --db")
    if not os.access(real if real.exists() else real.parent, os.W_OK):
        raise RegistryError(f"{path} cannot be written; check its and its folder's permissions, or choose another --db")
    return True
