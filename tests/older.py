"""A registry of today made one of an older schema: what later schemas brought is taken away again."""

from __future__ import annotations

from commands import sql

from kws.registry.location import Location, ServerUrl

_OLD = {
    "arch": "TEXT", "opt": "TEXT", "learning_rate": "FLOAT", "momentum": "FLOAT", "weight_decay": "FLOAT",
    "epochs": "INTEGER", "batch_size": "INTEGER", "seed": "BIGINT", "softmax": "BOOLEAN", "maps": "TEXT",
    "words": "TEXT", "data": "TEXT", "threads": "INTEGER", "slice_size": "INTEGER", "precision": "TEXT",
    "device": "TEXT", "selection": "TEXT", "speakers": "TEXT",
}  # fmt: skip


def to_schema_6(place: Location) -> None:
    """Checkpoints have no URLs, and a file's log tells of no file."""
    on_server = isinstance(place, ServerUrl)
    sql(
        place,
        "DROP INDEX ix_trainings_running",
        "ALTER TABLE checkpoints DROP COLUMN url",
        "ALTER TABLE weights DROP COLUMN url",
        *(() if on_server else ("DROP TABLE log_base",)),
        "UPDATE kws_registry SET schema_version = 6" if on_server else "PRAGMA user_version = 6",
    )


def to_schema_5(place: Location) -> None:
    """There are no sources, and what an epoch took of the processor is not known."""
    to_schema_6(place)
    on_server = isinstance(place, ServerUrl)
    sql(
        place,
        "DROP TABLE sources",
        "ALTER TABLE epochs DROP COLUMN processor_seconds",
        "UPDATE kws_registry SET schema_version = 5" if on_server else "PRAGMA user_version = 5",
    )


def to_schema_4(place: Location) -> None:
    """Recipes are columns of a table `runs`, and have no digests."""
    to_schema_5(place)
    rows = sql(place, f"SELECT key, {', '.join(_OLD)} FROM runs")
    sql(
        place,
        "DROP VIEW runs",
        "DROP INDEX ix_trainings_recipe_digest",
        "DROP INDEX ix_trainings_cell_digest",
        "ALTER TABLE trainings RENAME TO runs",
        *(f"ALTER TABLE runs DROP COLUMN {name}" for name in ("recipe_json", "recipe_digest", "cell_digest")),
        *(f"ALTER TABLE runs ADD COLUMN {name} {kind}" for name, kind in _OLD.items()),
    )
    changes = ", ".join(f"{name} = ?" for name in _OLD)
    for key, *values in rows:
        sql(place, f"UPDATE runs SET {changes} WHERE key = {key}", values=tuple(values))
    on_server = isinstance(place, ServerUrl)
    sql(place, "UPDATE kws_registry SET schema_version = 4" if on_server else "PRAGMA user_version = 4")
