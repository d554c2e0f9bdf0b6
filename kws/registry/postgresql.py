"""The registry in a PostgreSQL database: how it is created, locked, reached and upgraded, and how errors are reported.

Imported only if --db is a server's URL; psycopg comes with the extra `postgresql`.

Decisions:
- The tables are in the URL's schema (its search_path), beside whatever else is there; the table kws_registry marks
  them as ours.
- Reads see one snapshot of the database: REPEATABLE READ, READ ONLY.
- A write is READ COMMITTED under advisory locks that end with the transaction. Either it takes the registry's lock
  exclusively, as BEGIN IMMEDIATE does in a file; or it shares that lock with writers of other runs and takes the lock
  of its own run exclusively, so that many runs can be recorded at once.
- If the connection broke between two transactions, reconnecting is retried for half a minute, about as long as a server
  takes to restart. If it breaks within a transaction, LostConnectionError is raised; callers that can retry do so.
- An older registry is upgraded by the first process that is allowed to, in one transaction under the registry's lock.
- NaN is stored as NULL, as in SQLite, so that a NOT NULL number column rejects it.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.errors import LostConnectionError, RegistryError, UnavailableError
from kws.registry import view
from kws.registry.location import ServerUrl
from kws.registry.schema import SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from kws.registry.protocols import Connection

try:
    import psycopg
    import psycopg.rows
    import psycopg.sql

    from kws.registry.postgresql_rows import ServerConnection, adapters, row_factory
except ImportError as missing:
    raise RegistryError(
        f"a registry on PostgreSQL needs psycopg ({missing}): python -m pip install 'psycopg[binary]'"
    ) from None

SCHEMA = Path(__file__).parent / "schema_postgresql.sql"  # the tables of kws.registry.tables; `make readme` writes it
LOCK_SECONDS = 30
AGAIN_SECONDS = 30.0
_CONNECT_SECONDS = 10
_REFLECT_SECONDS = 10  # before an upgrade
_CONNECTION = "08"  # the class of SQLSTATEs about connections
_SHUT_DOWN = ("57P01", "57P02", "57P03", "57P05", "25P03", "25P04")  # by an administrator, a crash, or a timeout
_BUSY = ("40001", "40P01", "53200", "53300", "57014")  # conflicts, no memory or connection, a role's statement_timeout
_ONLY_READS = ("0A000", "25006")  # how a standby refuses a transaction that writes
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_SCHEMA_OF = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('kws_registry')"
_OWNED = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('kws_registry')"
_HERE = "SELECT quote_ident(current_schema())"
_TAKEN = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = current_schema() AND relname = ANY(%s)
"""
# A schema of the search path that this user may not use, if it has a registry, or if there is none to make one in.
_SHUT = r"""
SELECT quote_ident(nspname) FROM pg_namespace WHERE NOT has_schema_privilege(oid, 'USAGE') AND nspname IN (
    SELECT CASE WHEN part[1] = '"$user"' THEN current_user WHEN left(part[1], 1) = '"'
    THEN replace(substr(part[1], 2, length(part[1]) - 2), '""', '"') ELSE lower(part[1]) END
    FROM regexp_matches(current_setting('search_path'), '("([^"]|"")*"|[^,\s]+)', 'g') AS part
) AND (current_schema() IS NULL OR EXISTS (
    SELECT 1 FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = 'kws_registry'
))
"""
_LOCK, _LOCK_SHARED = "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"
_TRAININGS = "coalesce(to_regclass('trainings'), to_regclass('runs'))"  # the name before schema 5
_WRITABLE = f"SELECT has_table_privilege({_TRAININGS}, 'INSERT') AND NOT pg_is_in_recovery()"
# A client that vanished holds its locks for a minute at most; a client of a dead server notices after the same time,
# also where a network swallows what it has sent, which Linux otherwise sends again for a quarter of an hour.
_KEEP_ALIVE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_SENT_AGAIN = {"tcp_user_timeout": "60000"}  # ms
# Of each transaction alone: a pooler lends a connection to others between two of them.
_SETTINGS = "; ".join(
    f"SET LOCAL {name} = {value}"
    for name, value in [
        ("lock_timeout", f"'{LOCK_SECONDS}s'"),
        *((f"tcp_{name}", value) for name, value in _KEEP_ALIVE.items()),
    ]
)


class ServerDatabase:
    """An open registry on a server; with `create` its tables are created if missing. For one thread at a time.

    Raises RegistryError if there is no registry, it cannot be reached, or it is newer than this version of kws.
    """

    again_seconds = AGAIN_SECONDS
    generation = 0
    identity = None
    _writes = False  # whether the last transaction was a write

    def __init__(self, url: ServerUrl, *, create: bool) -> None:
        self.path = url
        with self._translated():
            self._raw = self._connect()
            try:
                if self._schema_name() is None:
                    self._require_use()
                    if not create:
                        raise RegistryError(
                            f"there is no registry at {url}; `kws train` makes one, or name another with --db"
                        )
                    self._make()
                self._check()
                self._schema = str(self._schema_name())
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    @contextmanager
    def reading(self) -> Iterator[ServerConnection]:
        """A connection that sees one snapshot of the database; inside another transaction, that one's snapshot."""
        if self._is_within():
            yield ServerConnection(self._raw)
            return
        with self._transaction(_READ) as connection:
            yield connection

    @contextmanager
    def writing(self, *runs: str) -> Iterator[ServerConnection]:
        """A transaction that is the only writer, or the only one for `runs`; it is committed whole or rolled back."""
        locks = {_lock(self._schema): bool(runs)}
        locks |= dict.fromkeys(sorted(_lock(self._schema, run) for run in runs), False)
        with self._transaction(_WRITE, locks) as connection:
            yield connection

    def hold(self, run: str, session: int) -> None:
        """Do nothing: a database is identified by its name, and what a server has committed is there."""

    def confirm(self, run: str, beat: str, *, thoroughly: bool = False) -> None:
        """Nothing, as above."""

    def release(self, run: str) -> None:
        """Nothing, as above."""

    def abandon(self) -> None:
        """Nothing, as above."""

    def is_writable(self) -> bool:
        """Whether this user may write and the server is not a standby."""
        with self.reading() as connection:
            return bool(connection.execute(_WRITABLE).fetchone()[0])

    def version(self, connection: Connection) -> object:
        """A text that changes whenever a transaction anywhere on the server ends."""
        return connection.execute("SELECT pg_current_snapshot()::text").fetchone()[0]

    def size(self, connection: Connection) -> tuple[int, int | None]:
        """The size of the tables and their indexes in bytes; how many are free is not known (None)."""
        sizes = ", ".join(f"pg_total_relation_size('{table}')" for table in TABLES)
        return sum(connection.execute(f"SELECT {sizes}").fetchone()), None

    def check(self, connection: Connection) -> list[str]:  # noqa: ARG002 - see Backend
        """No problems: the server itself checks pages and foreign keys, and rejects what is wrong."""
        return []

    def trim(self) -> None:
        """Do nothing: the server's autovacuum does this."""

    def vacuum(self) -> None:
        """Let the server reuse free space; it returns to the file system only what is at a table's end."""
        with self._translated():
            self._raw.execute(f"VACUUM {', '.join(f'{self._schema}.{table}' for table in TABLES)}")

    def _is_within(self) -> bool:
        return self._raw.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    @contextmanager
    def _transaction(self, begin: str, locks: dict[int, bool] | None = None) -> Iterator[ServerConnection]:
        with self._translated():
            self._writes = begin == _WRITE
            try:  # a signal may come as soon as the transaction has begun
                self._begin(begin, locks or {})
                yield ServerConnection(self._raw)
                self._raw.execute("COMMIT" if begin == _WRITE else "ROLLBACK")
            except BaseException:
                with suppress(psycopg.Error):
                    self._raw.execute("ROLLBACK")
                raise

    def _begin(self, begin: str, locks: dict[int, bool]) -> None:
        """Begin a transaction and take these locks (key: whether shared); reconnect if the connection is broken."""
        until = time.monotonic() + (self.again_seconds if begin == _READ else 0.0)  # writes: see kws.registry.patience
        pause = 0.05
        while True:
            try:
                if self._raw.closed:
                    self._raw = self._connect()
                taken = [f"{_LOCK_SHARED if shared else _LOCK}({key})" for key, shared in locks.items()]
                self._raw.execute(
                    "; ".join([begin, self._settings, *([f"SELECT {', '.join(taken)}"] if taken else ())])
                )
                return
            except psycopg.OperationalError:
                if not self._raw.closed:
                    with suppress(psycopg.Error):
                        self._raw.execute("ROLLBACK")
                    raise
                if time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _connect(self) -> psycopg.Connection[Any]:
        own = {"connect_timeout": _CONNECT_SECONDS, "application_name": "kws", **_KEEP_ALIVE, **_SENT_AGAIN}
        options: dict[str, Any] = {**own, **self.path.options(), "client_encoding": "utf8"}
        raw = psycopg.connect(**options, autocommit=True, prepare_threshold=None, context=adapters())
        raw.row_factory = row_factory
        return raw

    @property
    def _settings(self) -> str:
        """The SQL of what a transaction begins with."""
        path = self.path.search_path
        if path is None:
            return _SETTINGS
        return f"{_SETTINGS}; SELECT set_config('search_path', {psycopg.sql.quote(path)}, true)"

    def _schema_name(self) -> str | None:
        """The registry's schema, as SQL names it; None where there is no registry."""
        with self.reading() as connection:
            row = connection.execute(_SCHEMA_OF).fetchone()
        return row[0] if row else None

    def _require_use(self) -> None:
        """Raise RegistryError where the registry may be in a schema of the search path that this user may not use."""
        with self.reading() as connection:
            shut = connection.execute(_SHUT).fetchone()
        if shut:
            raise RegistryError(
                f"{self.path} may have its registry in the schema {shut[0]}, which this user may not use; ask for "
                f"GRANT USAGE ON SCHEMA {shut[0]}, or choose another --db"
            )

    def _make(self) -> None:
        """Create the tables in one transaction; if several processes try at once, one of them does it."""
        with self.reading() as connection:
            (schema,) = connection.execute(_HERE).fetchone()
        if schema is None:
            raise RegistryError(f"{self.path} names no schema that is there; make it by CREATE SCHEMA, or leave it out")
        with self._transaction(_WRITE, {_lock(schema): False}):
            if self._schema_name() is not None:
                return
            taken = [row[0] for row in self._raw.execute(_TAKEN, ([*TABLES, "runs"],))]
            if taken:
                raise RegistryError(
                    f"{self.path} has a table {sorted(taken)[0]} that is not kws's; name another database with --db, "
                    "or another schema of it by ?options=-csearch_path%3DNAME"
                )
            for statement in SCHEMA.read_text(encoding="utf-8").split(";"):
                self._raw.execute(statement)
            view.create(ServerConnection(self._raw))
            self._raw.execute("CREATE TABLE kws_registry (schema_version INTEGER NOT NULL)")
            self._raw.execute("INSERT INTO kws_registry VALUES (%s)", (SCHEMA_VERSION,))

    def _check(self) -> None:
        with self.reading() as connection:
            row = connection.execute("SELECT max(schema_version) FROM kws_registry").fetchone()
        schema = (row[0] if row else None) or 0
        if schema < 1:
            raise RegistryError(f"{self.path} has the schema {schema}, which never was; it is damaged")
        if schema > SCHEMA_VERSION:
            raise RegistryError(
                f"{self.path} has schema {schema}, and this version of kws knows up to {SCHEMA_VERSION}; upgrade kws"
            )
        if schema < SCHEMA_VERSION:
            self._upgrade(schema)

    def _upgrade(self, schema: int) -> None:
        refusal = RegistryError(
            f"{self.path} has schema {schema}, this version of kws needs {SCHEMA_VERSION}, and this user may not "
            "upgrade it; open it once as the user who made it"
        )
        with self.reading() as connection:
            (is_owner,) = connection.execute(_OWNED).fetchone()
        if not (is_owner and self.is_writable()):
            raise refusal
        from kws.registry.upgrade import upgrade_on_server

        lock = _lock(str(self._schema_name()))
        try:
            done = upgrade_on_server(self.path, self._connect_plainly, self._settings, lock, self._tell_of_upgrade)
        except psycopg.errors.InsufficientPrivilege:  # to make tables, say
            raise refusal from None
        if done:
            sys.stderr.write(f"{self.path} was upgraded to schema {SCHEMA_VERSION}\n")

    def _tell_of_upgrade(self, schema: int) -> None:
        """Say how to keep the registry as it is; where somebody reads along, there is time to."""
        url = str(self.path).replace("+psycopg", "", 1)
        dump = f"pg_dump --schema={shlex.quote(str(self._schema_name()))} {shlex.quote(url)}"
        sys.stderr.write(
            f"{self.path} has schema {schema}: it is upgraded to {SCHEMA_VERSION}, and older versions of kws can no "
            f"longer open it then; `{dump}` makes a copy of it as it is\n"
        )
        if sys.stderr.isatty():
            sys.stderr.write(f"upgrading it in {_REFLECT_SECONDS} s; Ctrl-C leaves it as it is\n")
            time.sleep(_REFLECT_SECONDS)

    def _connect_plainly(self) -> psycopg.Connection[Any]:
        """A connection whose rows are tuples and whose transactions psycopg begins, as SQLAlchemy expects."""
        raw = self._connect()
        raw.row_factory = psycopg.rows.tuple_row
        raw.autocommit = False
        return raw

    def _leave_standby(self) -> bool:
        """Close the connection if its server is a standby: the next may lead elsewhere. Returns whether it is."""
        with suppress(psycopg.Error):
            if self._raw.execute("SELECT 1 WHERE pg_is_in_recovery()").fetchone():
                self._raw.close()
                return True
        return False

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._failure(error) from None
        except UnicodeEncodeError as error:
            raise RegistryError(f"{error.object!r} cannot be kept in {self.path}: it is not UTF-8; rename it") from None

    def _failure(self, error: psycopg.Error) -> RegistryError:
        """The error to raise for this one: what went wrong, in one sentence, without secrets."""
        reason = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
        for secret in self.path.secrets():
            reason = reason.replace(secret, "***")
        if getattr(self, "_raw", None) is None:
            if error.pgconn and error.pgconn.needs_password:  # no waiting gives this process one
                return RegistryError(f"{self.path} wants a password ({reason}); give it in ~/.pgpass or as PGPASSWORD")
            return UnavailableError(
                f"{self.path} cannot be reached ({reason})", "see that the server runs and that the URL is right"
            )
        if _is_lost(error):
            return LostConnectionError(f"the connection to {self.path} was lost ({reason})")
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return UnavailableError(
                f"{self.path} was locked by another program for {LOCK_SECONDS} s", "try again when it is done"
            )
        if error.sqlstate in _BUSY:
            return UnavailableError(f"{self.path} is busy ({reason})", "try again when it is less so")
        if self._writes and error.sqlstate in _ONLY_READS and self._leave_standby():
            return UnavailableError(f"{self.path} is a standby, which only reads", "try again when it is promoted")
        if isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.ReadOnlySqlTransaction):
            act = "written" if self._writes else "read"
            return RegistryError(
                f"{self.path} cannot be {act} ({reason}); ask for the right to, or choose another --db"
            )
        if isinstance(error, psycopg.DataError) and error.sqlstate is None:  # psycopg's own: it cannot send the text
            return RegistryError(f"a text with a NUL character cannot be kept in {self.path}; leave that out")
        if isinstance(error, psycopg.errors.DiskFull):
            return UnavailableError(f"{self.path} cannot grow: the server's disk is full", "free some space there")
        return RegistryError(f"{self.path} cannot be used as a registry ({reason})")


def _is_lost(error: psycopg.Error) -> bool:
    """Whether an error means that the connection is lost: by its SQLSTATE, or because libpq itself raised it."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_CONNECTION) or error.sqlstate in _SHUT_DOWN


def is_new_on_server(url: ServerUrl) -> bool:
    """Whether there is no registry at `url` yet. Raises RegistryError if the server cannot be reached."""
    database = ServerDatabase.__new__(ServerDatabase)
    database.path = url
    with database._translated():
        database._raw = database._connect()
        try:
            return database._schema_name() is None
        finally:
            database.close()


def _lock(schema: str, run: str = "") -> int:
    """The number of the advisory lock of a registry, or of one of its runs."""
    digest = hashlib.sha256(f"kws\0{schema}\0{run}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
