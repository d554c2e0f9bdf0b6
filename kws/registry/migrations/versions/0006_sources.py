"""The sources of networks that are the user's own, and the processor seconds of an epoch; on SQLite and on PostgreSQL.

What older epochs took of the processor is not known, and stays NULL.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a table and a column."""
    text: Any = sa.Text(collation="C") if op.get_bind().dialect.name == "postgresql" else sa.String()
    op.create_table(
        "sources",
        sa.Column("sha256", text, primary_key=True),
        sa.Column("source", text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("epochs", sa.Column("processor_seconds", sa.Float()))
