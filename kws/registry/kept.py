"""Kept: what a process remembers of a run that it records, so that the run can be saved elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from kws.registry import sources
from kws.registry.protocols import Connection
from kws.registry.schema import TRUTHS

Rows = list[dict[str, Any]]


@dataclass
class Kept:
    """A run's row, sessions and tags, epochs by number, last checkpoint as (epoch, data), and its network's source."""

    run: dict[str, Any]
    sessions: Rows
    tags: Rows
    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    checkpoint: tuple[int, bytes] | None = None
    sources: Rows = field(default_factory=list)

    @classmethod
    def of(cls, connection: Connection, key: int) -> Kept:
        """The run as recorded in the registry when this process starts to work on it."""

        def select(table: str, column: str = "run_key") -> Rows:
            found = connection.execute(f"SELECT * FROM {table} WHERE {column} = :key", {"key": key})  # noqa: S608 - ours
            return [{k: value for k, value in dict(row).items() if k not in ("key", "run_key")} for row in found]

        (run,) = select("trainings", "key")
        run |= {name: bool(run[name]) for name in TRUTHS if run.get(name) in (0, 1)}
        epochs = {row["epoch"]: row for row in sorted(select("epochs"), key=itemgetter("epoch"))}
        (found,) = [*select("checkpoints"), None][:1]
        checkpoint = (found["epoch"], found["safetensors"]) if found and found["safetensors"] else None
        source = sources.rows_of(connection, run["recipe_json"])
        return cls(run, select("sessions"), select("tags"), epochs, checkpoint, source)

    def record(self, row: dict[str, Any]) -> None:
        """Remember an epoch's row; if the run repeats an epoch, later ones are forgotten."""
        number = row["epoch"]
        while self.epochs and next(reversed(self.epochs)) >= number:
            self.epochs.popitem()
        self.epochs[number] = {name: value for name, value in row.items() if name != "run_key"}

    def row(self) -> dict[str, Any]:
        """The run's row, updated to its last epoch."""
        done = list(self.epochs.values())
        return self.run | {
            "epochs_done": len(done),
            "milliseconds": sum(row["milliseconds"] for row in done),
            "validation_accuracy": done[-1]["validation_accuracy"] if done else None,
        }
