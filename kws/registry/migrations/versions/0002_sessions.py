"""Runs that can go on, be deleted, tagged and trained again: sessions, checkpoints, tags; and which epoch is taken."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns and tables; every run there was took its last epoch."""
    op.add_column("runs", sa.Column("selection", sa.String(), nullable=False, server_default="final"))
    op.add_column("runs", sa.Column("multiply_accumulates", sa.Integer()))
    op.add_column("runs", sa.Column("rerun_of", sa.String()))
    op.add_column("runs", sa.Column("deleted_at", sa.String()))
    op.create_table(
        "sessions",
        sa.Column("run_key", sa.Integer(), sa.ForeignKey("runs.key"), primary_key=True),
        sa.Column("session", sa.Integer(), primary_key=True),
        sa.Column("first_epoch", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("heartbeat_at", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("boot", sa.String()),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_started", sa.String()),
        sa.Column("environment", sa.JSON(none_as_null=True)),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tags",
        sa.Column("run_key", sa.Integer(), sa.ForeignKey("runs.key"), primary_key=True),
        sa.Column("tag", sa.String(), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoints",
        sa.Column("run_key", sa.Integer(), sa.ForeignKey("runs.key"), primary_key=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("safetensors", sa.LargeBinary(), nullable=False),
    )
