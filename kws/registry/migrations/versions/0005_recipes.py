"""A recipe is one JSON text, with digests that equal runs are found by; on SQLite and on PostgreSQL.

No value changes. What older columns left to the network is said: the channels of a convolutional network without `maps`
are 32 and 16. The table is called `trainings`, since `runs` is a view of it from now on.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_OWN = (
    "epochs", "batch_size", "precision", "selection", "seed", "data", "speakers", "threads", "slice_size", "device",
)  # fmt: skip
_PARTS = ("arch", "opt", "learning_rate", "momentum", "weight_decay", "softmax", "maps", "words")
_BITS = ("threads", "micro_batch_size", "device")


def upgrade() -> None:
    """Rename the table, add the recipe and its digests, and drop the columns that it was kept in."""
    bind = op.get_bind()
    text: Any = sa.Text(collation="C") if bind.dialect.name == "postgresql" else sa.String()
    op.rename_table("runs", "trainings")
    for name in ("recipe_json", "recipe_digest", "cell_digest"):
        op.add_column("trainings", sa.Column(name, text, nullable=False, server_default=""))
    columns = ", ".join(("key", "id", *_PARTS, *_OWN))
    changed: dict[str, str] = {}
    for row in bind.execute(sa.text(f"SELECT {columns} FROM trainings")).mappings().fetchall():  # noqa: S608
        recipe = _recipe(row)
        digest = _digest(recipe, (*_BITS, "data"))
        cell = _digest(recipe, (*_BITS, "data", "seed"))
        bind.execute(
            sa.text(
                "UPDATE trainings SET recipe_json = :recipe, recipe_digest = :digest, cell_digest = :cell "
                "WHERE key = :key"
            ),
            {"recipe": _text(recipe), "digest": digest, "cell": cell, "key": row["key"]},
        )
        looks = bind.execute(sa.text("SELECT DISTINCT recipe FROM tests WHERE run_id = :id"), {"id": row["id"]})
        changed |= {before: cell for (before,) in looks.fetchall()}
    for before, cell in changed.items():  # in the ledger, also of runs that were purged
        bind.execute(
            sa.text("UPDATE tests SET recipe = :cell WHERE recipe = :before"), {"cell": cell, "before": before}
        )
    for name in (*_PARTS, *_OWN):
        op.drop_column("trainings", name)
    for name in ("cell_digest", "recipe_digest"):
        op.create_index(f"ix_trainings_{name}", "trainings", [name])


def _recipe(row: Any) -> dict[str, Any]:
    recipe = {name: row[name] for name in _OWN if name != "slice_size"} | {"micro_batch_size": row["slice_size"]}
    network: dict[str, Any] = {"name": row["arch"]}
    if row["maps"] or row["arch"] == "cnn":
        network["channels"] = json.loads(row["maps"]) if row["maps"] else [32, 16]
    optimizer = {"name": row["opt"]} | {
        name: _number(row[name]) for name in ("learning_rate", "momentum", "weight_decay") if row[name] is not None
    }
    return recipe | {
        "network": network,
        "optimizer": optimizer,
        "loss": {"name": "cross_entropy", "softmax_before_loss": bool(row["softmax"])},
        "schedule": {"name": "constant"},
        "averaging": {"name": "none"},
        "augmentation": {},
        "task": {"name": "report", "words": json.loads(row["words"])},
    }


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(recipe: dict[str, Any], left_out: tuple[str, ...]) -> str:
    """What kws.recipe.Recipe made of a recipe when this schema was new."""
    values = {name: value for name, value in recipe.items() if name not in left_out and value != {}}
    return hashlib.sha256(_text(values).encode("utf-8", "surrogatepass")).hexdigest()[:16]
