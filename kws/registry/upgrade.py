"""Upgrades an older registry to the current schema with Alembic; imported only if there is one to upgrade.

All steps are one transaction. A file is first copied beside itself; its schema number is its user_version. On a server
the number is in kws_registry, and whoever wants a copy is told before the first step how to make one. Alembic's own
table exists only during the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, StaticPool, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kws.errors import RegistryError
from kws.registry import view
from kws.registry.decoding import UNREADABLE
from kws.registry.files import open_file
from kws.registry.location import Location
from kws.registry.new_files import back_up_beside
from kws.registry.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    import psycopg

_FIRST_VIEW = 5  # the schema that introduced the view `runs`, which is dropped before the steps
_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(path: Path) -> Path | None:
    """Upgrade the registry at `path`; returns the path of the copy made before, None if another process was faster.

    Raises RegistryError if the registry is damaged; it is then as it was.
    """
    connection = open_file(path)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    copy = None
    try:
        with _naming(path), engine.connect() as session:
            session.exec_driver_sql("BEGIN IMMEDIATE")
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if schema >= SCHEMA_VERSION:
                session.rollback()
                return None
            copy = back_up_beside(path, f"schema-{schema}")
            _run_steps(session, schema)
            view.create(connection)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            session.commit()
        return copy
    except BaseException:
        if copy:
            copy.unlink(missing_ok=True)
        raise
    finally:
        engine.dispose()


def upgrade_on_server(
    place: Location,
    connect: Callable[[], psycopg.Connection[Any]],
    settings: str,
    lock: int,
    tell: Callable[[int], object],
) -> bool:
    """Upgrade a server's registry under its advisory lock; returns False if another process has already done it.

    `settings` is the SQL that its transaction begins with; `tell` gets the schema before the first step. Raises
    RegistryError if the registry is damaged; it is then as it was.
    """
    from kws.registry import tables
    from kws.registry.postgresql_rows import ServerConnection

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=StaticPool)
    try:
        with _naming(place), engine.begin() as session:
            session.exec_driver_sql(settings.replace("%", "%%"))  # a schema may have it in its name
            session.execute(text(f"SELECT pg_advisory_xact_lock({lock})"))
            schema = session.execute(text("SELECT max(schema_version) FROM kws_registry")).scalar_one()
            if schema >= SCHEMA_VERSION:
                return False
            tell(schema)
            driver: Any = session.connection.driver_connection  # psycopg's; checked where that is not installed, too
            server = ServerConnection(driver)
            grants = view.grants(server)
            _run_steps(session, schema)
            for statement in tables.stored_as_they_are():
                session.execute(text(statement))
            view.create(server)
            for grant in grants:
                server.execute(grant)
            session.execute(text("UPDATE kws_registry SET schema_version = :version"), {"version": SCHEMA_VERSION})
        return True
    finally:
        engine.dispose()


@contextmanager
def _naming(place: Location) -> Iterator[None]:
    """Raise what the driver raised, and for all else that a damaged registry makes the steps raise, RegistryError."""
    try:
        yield
    except DBAPIError as error:
        raise error.orig or error from None
    except (SQLAlchemyError, CommandError, *UNREADABLE) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise RegistryError(f"{place} is damaged: it cannot be upgraded ({why})") from None


def _run_steps(session: Connection, schema: int) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = session
    command.stamp(config, f"{schema:04}")
    if schema >= _FIRST_VIEW:
        session.execute(text("DROP VIEW runs"))
    command.upgrade(config, f"{SCHEMA_VERSION:04}")
    session.execute(text("DROP TABLE kws_alembic_version"))
