"""Registry: a reader that also writes. Each method is one short transaction; no lock is held in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from kws.errors import RegistryError
from kws.events import DataCard, EpochEnd, Evaluation
from kws.registry import entries, records
from kws.registry.beginning import Beginner
from kws.registry.finishing import Ending
from kws.registry.kept import Kept
from kws.registry.patience import patiently
from kws.registry.protocols import Connection
from kws.registry.records import Batch
from kws.registry.runs import FINISHED, RUNNING, Run


class Registry(Beginner):
    """A registry opened for reading and writing."""

    checkpoint_seconds = 0.0  # see RelayedRegistry

    @contextmanager
    def _recording(self, batch: Batch, *, thoroughly: bool = False) -> Iterator[Connection]:
        """A transaction about a run that this process records, which has recorded the batch.

        Raises RegistryError if another process has resumed the run meanwhile. Raises ReplacedError if the path leads to
        another file, before or after the transaction.
        """
        now = entries.now()
        with self.database.writing(batch.run) as connection:
            (refused,) = records.record(connection, [self.key(connection, batch.run)], [batch], now)
            if refused:
                raise refused
            yield connection
        self.database.confirm(batch.run, now, thoroughly=thoroughly)

    def _release(self, run_id: str) -> None:
        self.database.release(run_id)
        self._kept.pop(run_id, None)

    def kept(self, run_id: str) -> Kept:
        """What this process remembers of a run that it records."""
        return self._kept[run_id]

    def abandon(self) -> None:
        """Close a file that the path no longer leads to, and forget the runs recorded in it."""
        self.database.abandon()
        self._kept.clear()

    def record(self, run_id: str, epoch: EpochEnd, checkpoint: bytes | None = None) -> None:
        """Record a finished epoch and the checkpoint to resume from; see record_all()."""
        self.record_all(run_id, [epoch], (epoch.epoch, checkpoint) if checkpoint is not None else None)

    def record_all(self, run_id: str, epochs: Sequence[EpochEnd], checkpoint: tuple[int, bytes] | None = None) -> None:
        """Record finished epochs, in order, and a checkpoint of one of them to resume from, in one transaction.

        A resumed run may repeat an epoch. A repeated epoch is normally bit-identical, and the recorded one stays. If it
        differs (on another machine), it and all later epochs are replaced. Raises RegistryError if another process has
        resumed the run meanwhile.
        """
        batch = Batch.of(run_id, self.sessions.get(run_id), epochs, checkpoint, self.files)
        try:
            with batch.taken_back():
                self._record(batch)
        finally:  # also if recording failed: the epochs are then kept elsewhere
            self._remember(batch, checkpoint)
        if self.files and batch.checkpoint:
            self.files.replaced(run_id, batch.checkpoint["url"])

    def remember(self, run_id: str, epochs: Sequence[EpochEnd], checkpoint: tuple[int, bytes] | None) -> None:
        """Keep in memory what can no longer be recorded, so that the run can be saved elsewhere."""
        self._remember(Batch.of(run_id, self.sessions.get(run_id), epochs, None), checkpoint)

    def _remember(self, batch: Batch, checkpoint: tuple[int, bytes] | None) -> None:
        if kept := self._kept.get(batch.run):
            for row in batch.rows:
                kept.record(row)
            kept.checkpoint = checkpoint or kept.checkpoint

    def _batch(self, run_id: str) -> Batch:
        return Batch(run=run_id, session=self.sessions.get(run_id))

    def beat(self, run_id: str) -> None:
        """Record that this process still works on a run; used during long epochs."""
        self._record(self._batch(run_id))

    @patiently
    def _record(self, batch: Batch) -> None:
        with self._recording(batch):
            pass

    def finish(
        self,
        run_id: str,
        evaluation: Evaluation | None,
        card: DataCard,
        weights: bytes,
        *,
        validation: Evaluation | None = None,
    ) -> Run:
        """Record the end of a run: its weights and its predictions on the test split, in one transaction.

        Its predictions on the validation split, if given, are what a detector's thresholds are chosen by. Returns the
        run. A run that is not tested has no predictions on the test split and no test accuracy. Before this returns,
        the end has been read back from the file through the path. Raises ReplacedError if it was not found there.
        """
        ending = Ending.of(run_id, evaluation, validation, card, weights, self.weight_files)
        had_checkpoint = run_id in self._kept and self._kept[run_id].checkpoint is not None
        batch = dataclasses.replace(self._batch(run_id), ending=ending)
        with batch.taken_back():
            run = self._finish(batch)
        if self.files:
            self.files.ended(run_id)
        elif had_checkpoint:
            self.database.trim()
        return run

    @patiently
    def _finish(self, batch: Batch) -> Run:
        with self._recording(batch, thoroughly=True):
            pass
        run = self.by_id(batch.run)  # before the release: the path must still lead to the file that the run is in
        self._release(batch.run)
        return run

    @patiently
    def end(self, run_id: str, status: str, error: str | None = None) -> Run:
        """Record that this process's run ended before its last epoch, and why; a finished run stays finished.

        Returns the run. Raises RegistryError if another process has resumed it meanwhile, and ReplacedError if the path
        leads to another file.
        """
        with self._recording(self._batch(run_id), thoroughly=True) as connection:
            key = self.key(connection, run_id)
            if self._sighting(connection, key).status != FINISHED:
                entries.change_run(connection, key, status=status, ended_at=entries.now(), error=error)
        run = self.by_id(run_id)
        self._release(run_id)
        return run

    @patiently
    def keep_card(self, card: DataCard) -> None:
        """Record a data set."""
        with self.database.writing() as connection:
            entries.keep_card(connection, card)

    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard, *, at: str | None = None) -> None:
        """Record a run's predictions on a split of the data set that `card` describes; the first ones recorded stay.

        On the run's own test split they are its test. `at` is when they were made, now by default: an evaluation that
        is recorded again, for the answer was lost, is one in the ledger.
        """
        self._keep_evaluation(run_id, evaluation, card, at or entries.now())

    @patiently
    def _keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard, at: str) -> None:
        with self.database.writing(run_id) as connection:
            entries.keep_card(connection, card)
            entries.keep_evaluations(connection, [(self.key(connection, run_id), evaluation, card)], at=at)

    @patiently
    def delete(self, run_id: str, *, silent: str | None = None) -> None:
        """Hide a run from every table until it is restored or purged.

        Raises RegistryError if the run is still running. For a process that cannot be observed from here, and for
        `silent`, see go_on().
        """
        with self.database.writing() as connection:
            key = self.key(connection, run_id)
            seen = self._sighting(connection, key)
            if seen.status == RUNNING and not (seen.unseen and seen.sign == silent):
                raise RegistryError(f"run {run_id} is still running; stop it first")
            entries.change_run(connection, key, deleted_at=entries.now())

    @patiently
    def restore(self, run_id: str) -> None:
        """Show a deleted run in the tables again."""
        with self.database.writing() as connection:
            entries.change_run(connection, self.key(connection, run_id), deleted_at=None)

    @patiently
    def annotate(self, run_id: str, note: str | None) -> None:
        """Set a run's note, replacing the one it has."""
        with self.database.writing(run_id) as connection:
            entries.change_run(connection, self.key(connection, run_id), note=note)

    @patiently
    def tag(self, run_id: str, tags: Iterable[str], *, remove: bool = False) -> None:
        """Add tags to a run, or remove them."""
        with self.database.writing(run_id) as connection:
            self._tag(connection, run_id, tags, remove=remove)

    def _tag(self, connection: Connection, run_id: str, tags: Iterable[str], *, remove: bool = False) -> None:
        key = self.key(connection, run_id)
        for tag in tags:
            row = {"run_key": key, "tag": tag}
            if remove:
                connection.execute("DELETE FROM tags WHERE run_key = :run_key AND tag = :tag", row)
            else:
                entries.insert(connection, "tags", row, known=True)
