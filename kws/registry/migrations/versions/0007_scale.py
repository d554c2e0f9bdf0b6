"""Checkpoints that lie in files, and runs that are found while they run; on SQLite and on PostgreSQL.

No value changes: checkpoints that are in the registry stay there.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Let checkpoints and weights have a URL instead of their bytes; add an index, and to a file the table log_base."""
    on_server = op.get_bind().dialect.name == "postgresql"
    text: Any = sa.Text(collation="C") if on_server else sa.String()
    with op.batch_alter_table("checkpoints") as table:
        table.alter_column("safetensors", existing_type=sa.LargeBinary(), nullable=True)
        table.add_column(sa.Column("url", text))
    op.add_column("weights", sa.Column("url", text))
    op.create_index(
        "ix_trainings_running",
        "trainings",
        ["key"],
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    if not on_server:
        op.create_table(
            "log_base",
            sa.Column("key", sa.Integer(), nullable=False),
            sa.Column("state", sa.String(), nullable=False),
            sa.PrimaryKeyConstraint("key"),
        )
