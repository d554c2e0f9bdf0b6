"""Opening the file: what makes it a registry, how it is locked, and how a missing or foreign one is told.

Decisions:
- Write-ahead logging, so that readers and a writer do not wait for each other.
- A finished run survives a loss of power: its commit waits for the disk (synchronous=FULL), and takes the epochs before
  it along. An epoch's does not wait; it survives the end of the process, however sudden.
- A write takes its lock when it begins (BEGIN IMMEDIATE) and waits up to 30 s for another; sqlite3's own transactions,
  which begin late and can leave half a change behind, are switched off.
- A registry in a folder that cannot be written, or that was opened for reading only, is read as it lies there.
"""

import os
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from kws.errors import RegistryError

APPLICATION_ID = 0x6B777331  # "kws1" in the file's header says whose database this is
SCHEMA_VERSION = 1

_BUSY_SECONDS = 30
_HEADER = b"SQLite format 3\x00"


def connect(path: Path, *, create: bool) -> Engine:
    """An engine on the registry at `path`; with `create` it is made where there is none.

    Raises RegistryError where it is missing, is no registry, or is newer than this version of kws.
    """
    new = is_new(path)
    if new and not create:
        raise RegistryError(f"there is no registry at {path}; `kws train` makes one, or name another with --db")
    if path.is_dir():
        raise RegistryError(f"{path} is a folder; --db names a registry file, such as experiments.db")
    if not new and not _looks_like_sqlite(path):
        raise RegistryError(f"{path} is not a SQLite database; name a registry with --db")
    engine = create_engine("sqlite://", creator=lambda: _connection(path), poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    try:
        if new or (create and _is_bare(engine)):
            _make(engine)
        _check(engine, path)
    except (DBAPIError, sqlite3.Error) as error:
        raise failure(path, error) from None
    return engine


def is_new(path: Path) -> bool:
    """Whether there is no registry at `path` yet. Raises RegistryError where none could be made there either."""
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


def writing(engine: Engine, *, durable: bool = True) -> Engine:
    """The same engine, whose transactions take the write lock when they begin; a durable commit waits for the disk."""
    return engine.execution_options(kws_write="FULL" if durable else "NORMAL")


def failure(path: Path, error: DBAPIError | sqlite3.Error) -> RegistryError:
    """What went wrong in the database, in one sentence."""
    reason = str(getattr(error, "orig", error))
    if "locked" in reason:
        return RegistryError(f"{path} was locked by another program for {_BUSY_SECONDS} s; try again when it is done")
    if "full" in reason:
        return RegistryError(f"{path} cannot grow: the disk is full; free some space and run the command again")
    if "readonly" in reason or "unable to open" in reason:
        return RegistryError(
            f"{path} cannot be written; check its and its folder's permissions, or choose another --db"
        )
    return RegistryError(f"{path} cannot be used as a registry ({reason})")


def _looks_like_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror})") from None


def _connection(path: Path) -> sqlite3.Connection:
    writable = os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
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
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _begin(connection: Connection) -> None:
    synchronous = connection.get_execution_options().get("kws_write")
    if synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if synchronous else "BEGIN")


def _make(engine: Engine) -> None:
    """Make the tables in one transaction; of several processes that do so at once, one makes them."""
    from kws.registry.tables import METADATA

    raw = engine.raw_connection()
    until = time.monotonic() + _BUSY_SECONDS
    try:
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:  # SQLite does not wait here, whatever its timeout
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)
    finally:
        raw.close()
    with writing(engine).begin() as connection:
        METADATA.create_all(connection)
        connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
        connection.execute(text(f"PRAGMA user_version = {SCHEMA_VERSION}"))


def _is_bare(engine: Engine) -> bool:
    """Whether the file is a database without anything in it: one that another process has only begun to make."""
    with engine.connect() as connection:
        application = connection.execute(text("PRAGMA application_id")).scalar_one()
        return application == 0 and not connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one()


def _check(engine: Engine, path: Path) -> None:
    with engine.connect() as connection:
        application = connection.execute(text("PRAGMA application_id")).scalar_one()
        schema = connection.execute(text("PRAGMA user_version")).scalar_one()
    if application != APPLICATION_ID:
        raise RegistryError(f"{path} is a SQLite database, but not a registry of kws; name another with --db")
    if schema > SCHEMA_VERSION:
        raise RegistryError(
            f"{path} has schema {schema}, and this version of kws knows up to {SCHEMA_VERSION}; upgrade kws"
        )
