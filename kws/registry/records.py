"""Records: epochs, checkpoints and endings of one or many runs, recorded in one transaction.

A batch is what one process has to record of its run. Each renews its run's heartbeat first, which tells whether the run
is still that process's. A run that another process has taken over refuses its own batch and no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kws.errors import NotOursError, RegistryError
from kws.events import EpochEnd
from kws.registry import encoding, entries, finishing, state_files
from kws.registry.finishing import Ending
from kws.registry.protocols import Connection, Writing
from kws.registry.state_files import StateFiles

_TIMES = ("milliseconds", "processor_seconds")  # a repeated epoch may take another time
_EPOCH = "SELECT * FROM epochs WHERE run_key = :run_key AND epoch = :epoch"
_FORGET = "DELETE FROM epochs WHERE run_key = :run_key AND epoch >= :epoch"
_TIME_LEFT = """
UPDATE trainings SET milliseconds = (SELECT coalesce(sum(milliseconds), 0) FROM epochs WHERE run_key = :run_key)
WHERE key = :run_key
"""
_PROGRESS = """
UPDATE trainings
SET epochs_done = :epoch, validation_accuracy = :validation_accuracy, milliseconds = milliseconds + :milliseconds
WHERE key = :run_key
"""
_BEAT = """
UPDATE sessions SET heartbeat_at = :now WHERE run_key = :key AND session = :session
AND NOT EXISTS (SELECT 1 FROM sessions WHERE run_key = :key AND session > :session)
"""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one session of a run has to record: rows of finished epochs in order, and of a checkpoint; or its end."""

    run: str
    session: int | None
    rows: Sequence[dict[str, Any]] = ()
    checkpoint: dict[str, Any] | None = None
    ending: Ending | None = None

    @classmethod
    def of(
        cls,
        run: str,
        session: int | None,
        epochs: Sequence[EpochEnd],
        checkpoint: tuple[int, bytes] | None,
        files: StateFiles | None = None,
    ) -> Batch:
        """The batch of these epochs and of (epoch, state), which is written to `files` if there are any.

        A state that cannot be written there is left out.
        """
        rows = [encoding.of_epoch(0, epoch, round(1000 * epoch.seconds)) for epoch in epochs]
        return cls(run=run, session=session, rows=rows, checkpoint=checkpoint and _row(run, *checkpoint, files))

    @contextmanager
    def taken_back(self) -> Iterator[None]:
        """Record it here; the files of its states are removed if the run is no longer this process's.

        But for a checkpoint that the registry names: the batch was recorded before, and the answer was lost.
        """
        try:
            yield
        except NotOursError as refused:
            for url in (self.checkpoint and self.checkpoint["url"], self.ending and self.ending.url):
                if url and url != refused.checkpoint:
                    state_files.remove(url, self.run)
            raise

    @property
    def checkpoint_bytes(self) -> int:
        """How many bytes of a checkpoint are recorded with it."""
        return len(self.checkpoint["safetensors"] or b"") if self.checkpoint else 0

    @property
    def bytes(self) -> int:
        """How many bytes of states are recorded with it."""
        return self.checkpoint_bytes + (len(self.ending.weights) if self.ending else 0)


def _row(run: str, epoch: int, data: bytes, files: StateFiles | None) -> dict[str, Any] | None:
    url = files.write(run, epoch, data) if files else None
    if files and url is None:
        return None
    digest = hashlib.sha256(data).hexdigest()
    return {"epoch": epoch, "sha256": digest, "safetensors": None if url else data, "url": url}


def record(connection: Writing, keys: Sequence[int], batches: Sequence[Batch], now: str) -> list[RegistryError | None]:
    """Record batches of runs with these keys at the time `now`; returns for each what it was refused for.

    A resumed run may repeat an epoch. A repeated epoch is normally bit-identical, and the recorded one stays. If it
    differs (on another machine), it and all later epochs are replaced.
    """
    beats = [{"key": key, "session": batch.session, "now": now} for key, batch in zip(keys, batches, strict=True)]
    mine = connection.counts(_BEAT, beats)
    taken = [(key, batch) for key, batch, is_mine in zip(keys, batches, mine, strict=True) if is_mine]
    for key, batch in taken:
        for row in batch.rows:
            row["run_key"] = key
    with_rows = [batch.rows for _, batch in taken if batch.rows]
    new = entries.insert_known(connection, "epochs", [rows[0] for rows in with_rows])
    entries.insert_all(
        connection, "epochs", [row for rows, is_new in zip(with_rows, new, strict=True) if is_new for row in rows[1:]]
    )
    progress = [_progress(rows) for rows, is_new in zip(with_rows, new, strict=True) if is_new]
    if progress:
        connection.executemany(_PROGRESS, progress)
    for rows, is_new in zip(with_rows, new, strict=True):
        for row in () if is_new else rows:
            _repeat(connection, row)
    for key, batch in taken:
        if batch.checkpoint:
            entries.insert(connection, "checkpoints", {"run_key": key} | batch.checkpoint, anew="run_key")
    if endings := [(key, batch.ending) for key, batch in taken if batch.ending]:
        finishing.finish(connection, endings)
    return [
        None if is_mine else _refusal(connection, key, batch)
        for key, batch, is_mine in zip(keys, batches, mine, strict=True)
    ]


def _refusal(connection: Writing, key: int, batch: Batch) -> NotOursError:
    refusal = NotOursError(f"run {batch.run} is no longer this process's: another process has taken it over")
    if batch.checkpoint and batch.checkpoint["url"]:
        named = connection.execute("SELECT url FROM checkpoints WHERE run_key = :key", {"key": key}).fetchone()
        refusal.checkpoint = named["url"] if named else None
    return refusal


def _progress(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What new epochs add to their run."""
    return rows[-1] | {"milliseconds": sum(row["milliseconds"] for row in rows)}


def _repeat(connection: Connection, row: dict[str, Any]) -> None:
    """Record an epoch that may be there already, as this one or as another."""
    known = connection.execute(_EPOCH, row).fetchone()
    if known and any(known[name] != row[name] for name in row if name not in _TIMES):
        connection.execute(_FORGET, row)
        connection.execute(_TIME_LEFT, row)
        known = None
    if not known:
        entries.insert(connection, "epochs", row)
        connection.execute(_PROGRESS, row)
