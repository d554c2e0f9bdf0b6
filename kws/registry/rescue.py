"""Rescue: saves a run whose registry was removed or replaced while it trained into a file of its own.

The run is written from its process's memory, because the open file may have been overwritten. The new file is a
registry: the run can be read and resumed there, or imported. If no registry can be created, the final weights or the
last checkpoint are saved as a safetensors file.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kws.errors import RegistryError
from kws.events import DataCard, Evaluation
from kws.registry.kept import Kept
from kws.registry.new_files import free_name, new_file
from kws.registry.runs import FINISHED
from kws.registry.store import Registry
from kws.registry.table_rows import put

Outcome = tuple[Evaluation | None, bytes]  # the evaluation on the test split (None if untested) and the weights


def rescue(
    path: Path,
    kept: Kept,
    card: DataCard,
    *,
    status: str,
    error: str | None,
    checkpoint: tuple[int, bytes] | None,
    outcome: Outcome | None,
) -> Path | None:
    """Save a run beside its former registry, or if that fails, in the current or a temporary folder.

    `checkpoint` is an epoch and the state after it, to resume from; a run with an `outcome` is finished. Returns the
    file's path, or None if nothing could be written anywhere.
    """
    run_id = kept.run["id"]
    for folder in _folders(path):
        to = free_name(folder / path.name, run_id)
        try:
            with new_file(to) as temporary, _Rescued(temporary, create=True) as registry:
                registry.take(kept, card, status=status, error=error, checkpoint=checkpoint, outcome=outcome)
        except (RegistryError, OSError):
            continue
        return to
    data = outcome[1] if outcome else checkpoint[1] if checkpoint else None
    for folder in _folders(path) if data else ():
        to = free_name((folder / path.name).with_suffix(".safetensors"), run_id)
        try:
            to.write_bytes(data or b"")
        except OSError:
            continue
        return to
    return None


class _Rescued(Registry):
    """The new registry that holds a rescued run."""

    def take(
        self,
        kept: Kept,
        card: DataCard,
        *,
        status: str,
        error: str | None,
        checkpoint: tuple[int, bytes] | None,
        outcome: Outcome | None,
    ) -> None:
        self.keep_card(card)
        ended = datetime.now(UTC).isoformat(timespec="milliseconds")
        about = {"status": FINISHED if outcome else status, "error": None if outcome else error, "ended_at": ended}
        evaluation = outcome[0] if outcome else None
        if evaluation:
            about["test_accuracy"] = evaluation.accuracy  # type: ignore[assignment]
        with self.database.writing() as connection:
            put(connection, "sources", kept.sources)
            put(connection, "trainings", [kept.row() | about])
            key = self.key(connection, kept.run["id"])

            def keep(table: str, *rows: dict[str, object]) -> None:
                put(connection, table, [row | {"run_key": key} for row in rows])

            keep("sessions", *kept.sessions)
            keep("tags", *kept.tags)
            keep("epochs", *kept.epochs.values())
            if outcome:
                keep("weights", _blob(outcome[1]))
            elif checkpoint:
                keep("checkpoints", _blob(checkpoint[1]) | {"epoch": checkpoint[0]})
        if evaluation:
            self.keep_evaluation(kept.run["id"], evaluation, card)


def _blob(data: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "safetensors": data}


def _folders(path: Path) -> Iterator[Path]:
    yield path.parent
    yield Path.cwd()
    yield Path(tempfile.gettempdir())
