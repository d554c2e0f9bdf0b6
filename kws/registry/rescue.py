"""Rescue: a run whose registry was removed or replaced while it trained, into a file of its own.

It is written from what its process remembers, for the open file may have been written over. The file is a registry: it
can be looked at and gone on with as it is, or imported. Where none can be made, what can be gone on with is kept as a
safetensors file.
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
from kws.registry.transfer import put

Outcome = tuple[Evaluation | None, bytes]  # the answers on the test split, if it was tested, and the weights


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
    """Keep a run beside where its registry was, or where that cannot be, in the current or a temporary folder.

    `checkpoint` is where it can go on and after which epoch that is; with an `outcome` it is finished. Returns the
    file, or None where nothing could be written anywhere.
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
    """The new registry."""

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
        with self._database.writing() as connection:
            put(connection, "trainings", [kept.row() | about])
            key = self._key(connection, kept.run["id"])

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
