"""How Alembic runs here: on the connection, and in the transaction, that kws.registry.upgrade gives it."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
