"""Claims: which runs of a plan are there, and taking one so that nobody else trains it too.

Runs are equal if their recipes are, field by field, on data of one fingerprint; how the data was named does not count.
Deleted runs do not either. Of several equal runs the one that is furthest counts: finished, else running, else cut off.
A claim is one transaction that has the write lock before it looks: of two that ask at once, one finds the other's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from kws.data_card import DataCard
from kws.environment import Environment
from kws.recipe import Recipe
from kws.registry import rows
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.registry.store import Registry

_FIELDS = tuple(field.name for field in fields(Recipe) if field.name != "data")
_ORDER = (FINISHED, RUNNING, INTERRUPTED, LOST, FAILED)
_COLUMNS = ", ".join(("key", "id", "status", "error", "milliseconds", "data", "data_fingerprint", *_FIELDS))
_KNOWN = f"SELECT {_COLUMNS} FROM runs WHERE deleted_at IS NULL"  # noqa: S608 - our names
_EQUAL = f"{_KNOWN} AND data_fingerprint = :fingerprint AND " + " AND ".join(f"{name} IS :{name}" for name in _FIELDS)
Key = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Known:
    """A run of the registry, as far as a plan needs it."""

    id: str
    status: str
    error: str | None
    seconds: float
    data: str
    fingerprint: str
    arch: str
    threads: int
    epochs: int


def key_of(recipe: Recipe) -> Key:
    """What equal recipes have in common."""
    values = rows.of_recipe(recipe)
    return tuple(values[name] for name in _FIELDS)


def known_runs(registry: RegistryReader) -> dict[Key, list[Known]]:
    """All runs by their recipes, those that are furthest first; the registry is read once."""
    found: dict[Key, list[Known]] = {}
    with registry.reading() as connection:
        statuses = registry._statuses(connection)
        for row in connection.execute(_KNOWN):
            found.setdefault(tuple(row[name] for name in _FIELDS), []).append(_known(row, statuses))
    for runs in found.values():
        runs.sort(key=lambda run: _ORDER.index(run.status))
    return found


def claim(
    registry: Registry,
    recipe: Recipe,
    card: DataCard,
    *,
    retry: bool,
    parameters: int,
    multiply_accumulates: int | None,
    environment: Environment,
) -> tuple[Known | None, str]:
    """Take a recipe on: returns the equal run that was there, if any, and the id of the run that counts.

    It is this process's now if there was none, or one that was cut off, or with `retry` one that had failed.
    """
    with registry._database.writing() as connection:
        statuses = registry._statuses(connection)
        values = rows.of_recipe(recipe) | {"fingerprint": card.fingerprint}
        equal = [_known(row, statuses) for row in connection.execute(_EQUAL, values)]
        if equal:
            before = min(equal, key=lambda run: _ORDER.index(run.status))
            if before.status in (INTERRUPTED, LOST) or (retry and before.status == FAILED):
                registry._go_on(connection, before.id, epochs=recipe.epochs, environment=environment)
            return before, before.id
        return None, registry._start(
            connection,
            recipe,
            card,
            parameters=parameters,
            environment=environment,
            multiply_accumulates=multiply_accumulates,
        )


def _known(row: rows.Row, statuses: dict[int, str]) -> Known:
    return Known(
        id=row["id"],
        status=statuses.get(row["key"], row["status"]),
        error=row["error"],
        seconds=row["milliseconds"] / 1000,
        data=row["data"],
        fingerprint=row["data_fingerprint"],
        arch=row["arch"],
        threads=row["threads"],
        epochs=row["epochs"],
    )
