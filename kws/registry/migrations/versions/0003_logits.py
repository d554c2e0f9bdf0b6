"""The network's outputs on the clips of an evaluation, which ROC, DET and calibration are made of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a table; what older runs answered is known, but not how surely."""
    op.create_table(
        "logits",
        sa.Column("run_key", sa.Integer(), sa.ForeignKey("runs.key"), primary_key=True),
        sa.Column("data_fingerprint", sa.String(), sa.ForeignKey("data.fingerprint"), primary_key=True),
        sa.Column("split", sa.String(), primary_key=True),
        sa.Column("logits", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
