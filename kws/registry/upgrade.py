"""Bringing an older registry up to date, by Alembic; imported only where there is an older one.

All steps are one transaction, after a copy of the file beside it. The number of a file's schema is its user_version;
Alembic's own table exists only while the transaction lasts.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import StaticPool, create_engine, text

from kws.registry.connection import SCHEMA_VERSION
from kws.registry.files import open_file
from kws.registry.new_files import back_up_beside

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(path: Path) -> Path | None:
    """Upgrade the registry at `path`; returns the copy of what it was, None where another process was faster."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    connection = open_file(path)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as session:
            session.exec_driver_sql("BEGIN IMMEDIATE")
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if schema >= SCHEMA_VERSION:
                session.rollback()
                return None
            copy = back_up_beside(path, f"schema-{schema}")
            config.attributes["connection"] = session
            command.stamp(config, f"{schema:04}")
            command.upgrade(config, f"{SCHEMA_VERSION:04}")
            session.execute(text("DROP TABLE alembic_version"))
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            session.commit()
        return copy
    finally:
        engine.dispose()
