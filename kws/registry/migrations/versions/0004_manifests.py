"""Clips by their digests, losses on one scale, and a ledger of what was tested; on SQLite and on PostgreSQL.

No figure and no answer of an older run changes but one: the loss of evaluations of runs with a softmax before
cross-entropy, which was that of a double softmax. It is computed anew from the logits, and what was there is kept as
`objective`, what training minimised.
"""

import hashlib
import json
import zlib
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_SPLITS = ("train", "validation", "test")
_RECIPE = (
    "arch", "opt", "learning_rate", "momentum", "weight_decay", "epochs", "batch_size", "softmax", "maps", "words",
    "precision", "selection",
)  # fmt: skip


def upgrade() -> None:
    """Add columns and tables, and fill those that follow from what is there."""
    on_server = op.get_bind().dialect.name == "postgresql"
    text: Any = sa.Text(collation="C") if on_server else sa.String()
    json_text: Any = text if on_server else sa.JSON()
    op.add_column("data", sa.Column("draw", text, nullable=False, server_default="names"))
    op.add_column("data", sa.Column("content", text))
    op.add_column("data", sa.Column("band_means", json_text))
    op.add_column("data", sa.Column("unused", json_text))
    op.add_column("runs", sa.Column("speakers", text))
    op.add_column("runs", sa.Column("instruction_set", text))
    op.execute("UPDATE data SET draw = 'none' WHERE front_end = '{}'")
    op.create_table(
        "manifests",
        sa.Column("data_fingerprint", text, sa.ForeignKey("data.fingerprint"), primary_key=True),
        sa.Column("split", text, primary_key=True),
        sa.Column("paths", sa.LargeBinary(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.Column("speakers", sa.LargeBinary()),
        sa.Column("modified_ns", sa.LargeBinary(), nullable=False),
        sa.Column("seconds", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "tests",
        sa.Column("split_fingerprint", text, primary_key=True),
        sa.Column("run_id", text, primary_key=True),
        sa.Column("tested_at", text, primary_key=True),
        sa.Column("split", text, nullable=False),
        sa.Column("recipe", text, nullable=False),
        sqlite_with_rowid=False,
    )
    if on_server:
        op.alter_column("evaluations", "loss", nullable=True)
        op.add_column("evaluations", sa.Column("objective", sa.Float()))
        op.execute("UPDATE evaluations SET objective = loss")
        op.alter_column("evaluations", "objective", nullable=False)
    else:
        _rebuild_evaluations()
    _put_losses_on_one_scale()
    _fill_the_ledger()


def _rebuild_evaluations() -> None:
    """SQLite cannot drop a NOT NULL: the table is made anew."""
    op.create_table(
        "new_evaluations",
        sa.Column("run_key", sa.Integer(), sa.ForeignKey("runs.key"), primary_key=True),
        sa.Column("data_fingerprint", sa.String(), sa.ForeignKey("data.fingerprint"), primary_key=True),
        sa.Column("split", sa.String(), primary_key=True),
        sa.Column("evaluated_at", sa.String(), nullable=False),
        sa.Column("clips", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Float()),
        sa.Column("objective", sa.Float(), nullable=False),
        sa.Column("accuracy", sa.Float(), nullable=False),
        sa.Column("predictions", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    names = "run_key, data_fingerprint, split, evaluated_at, clips, loss, accuracy, predictions"
    op.execute(f"INSERT INTO new_evaluations ({names}, objective) SELECT {names}, loss FROM evaluations")  # noqa: S608
    op.drop_table("evaluations")
    op.rename_table("new_evaluations", "evaluations")


def _put_losses_on_one_scale() -> None:
    bind = op.get_bind()
    of_softmax = bind.execute(
        sa.text(
            "SELECT e.run_key, e.data_fingerprint, e.split, l.logits FROM evaluations e "
            "JOIN runs ON runs.key = e.run_key LEFT JOIN logits l ON l.run_key = e.run_key "
            "AND l.data_fingerprint = e.data_fingerprint AND l.split = e.split WHERE runs.softmax"
        )
    ).fetchall()
    for run_key, fingerprint, split, blob in of_softmax:
        bind.execute(
            sa.text(
                "UPDATE evaluations SET loss = :loss "
                "WHERE run_key = :key AND data_fingerprint = :fingerprint AND split = :split"
            ),
            {
                "loss": _loss(blob, _labels(fingerprint, split)),
                "key": run_key, "fingerprint": fingerprint, "split": split,
            },
        )  # fmt: skip


def _labels(fingerprint: str, split: str) -> bytes:
    rows = op.get_bind().execute(
        sa.text("SELECT split, labels FROM splits WHERE data_fingerprint = :fingerprint"), {"fingerprint": fingerprint}
    )
    labels = {name: zlib.decompress(blob) for name, blob in rows}
    return b"".join(labels.get(name, b"") for name in (_SPLITS if split == "all" else (split,)))


def _loss(blob: bytes | None, labels: bytes) -> float | None:
    """The mean cross-entropy of the softmax of logits, in nats; None where there are none, or not as many as clips."""
    if blob is None or not labels:
        return None
    logits = np.frombuffer(zlib.decompress(blob), "<f2").astype(float)
    if len(logits) % len(labels):
        return None
    logits = logits.reshape(len(labels), -1)
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(labels)), np.frombuffer(labels, np.uint8)]
    return float((np.log(np.exp(logits).sum(axis=1)) - own).mean())


def _fill_the_ledger() -> None:
    """Every evaluation that is recorded was a look at its split."""
    bind = op.get_bind()
    columns = ", ".join(f"runs.{name}" for name in _RECIPE)
    looks = bind.execute(
        sa.text(
            f"SELECT runs.id, e.evaluated_at, e.split AS looked_at, splits.split, splits.fingerprint, {columns} "  # noqa: S608
            "FROM evaluations e JOIN runs ON runs.key = e.run_key "
            "JOIN splits ON splits.data_fingerprint = e.data_fingerprint"
        )
    ).mappings()
    for look in looks.fetchall():
        if look["looked_at"] in ("all", look["split"]):
            bind.execute(
                sa.text("INSERT INTO tests VALUES (:fingerprint, :id, :at, :split, :recipe) ON CONFLICT DO NOTHING"),
                {
                    "fingerprint": look["fingerprint"], "id": look["id"], "at": look["evaluated_at"],
                    "split": look["split"], "recipe": _digest(look),
                },
            )  # fmt: skip


def _digest(row: Any) -> str:
    """What kws.recipe.Recipe.cell_digest made of a recipe when this schema was new."""
    values = {name: row[name] for name in _RECIPE}
    values |= {name: json.loads(values[name]) for name in ("maps", "words") if values[name]}
    values["softmax"] = bool(values["softmax"])
    values = {name: value for name, value in values.items() if value is not None}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
