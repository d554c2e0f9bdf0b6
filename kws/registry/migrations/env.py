"""How Alembic runs here: on the connection, and in the transaction, that kws.registry.upgrade gives it."""

from alembic import context

# A database that kws shares with another program may have that one's alembic_version.
context.configure(connection=context.config.attributes["connection"], version_table="kws_alembic_version")
context.run_migrations()
