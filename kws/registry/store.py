"""Registry: the one way in and out of the database. Each method is one short transaction; nothing is held between."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from kws.data_card import SPLITS, DataCard
from kws.environment import Environment
from kws.errors import RegistryError, UnknownRunError
from kws.events import EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry.connection import connect, failure, writing
from kws.registry.runs import FINISHED, RUNNING, Epoch, Run
from kws.registry.tables import DataRow, EpochRow, EvaluationRow, RunRow, SplitRow, WeightsRow

_ID_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no vowels, so that no id is a word, `last` least of all
_ID_LENGTH = 8


class Registry:
    """A registry file, opened. Raises RegistryError where it cannot be used; see kws.registry.connection."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        self._engine = connect(path, create=create)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    # Writing

    def start(
        self,
        recipe: Recipe,
        card: DataCard,
        *,
        parameters: int,
        environment: Environment,
        name: str | None = None,
        note: str | None = None,
    ) -> str:
        """Record a run that starts now; returns its id."""
        row = RunRow(
            id=_new_id(),
            status=RUNNING,
            name=name,
            note=note,
            started_at=_now(),
            parameters=parameters,
            data_fingerprint=card.fingerprint,
            **_columns(recipe),
            **dataclasses.asdict(environment),
        )
        with self._write() as session:
            _keep_card(session, card)
            session.add(row)
            session.flush()
            return row.id

    def record(self, run_id: str, epoch: EpochEnd) -> None:
        """Record an epoch that has ended."""
        with self._write() as session:
            session.add(
                EpochRow(
                    run_key=_key(session, run_id),
                    epoch=epoch.epoch,
                    train_loss=epoch.train_loss,
                    train_accuracy=epoch.train_accuracy,
                    validation_loss=epoch.validation_loss,
                    validation_accuracy=epoch.validation_accuracy,
                    seconds=epoch.seconds,
                    iteration_losses=_pack([i.loss for i in epoch.iterations]),
                    iteration_accuracies=_pack([i.accuracy for i in epoch.iterations]),
                )
            )

    def finish(self, run_id: str, evaluation: Evaluation, card: DataCard, weights: bytes) -> None:
        """Record the end of a run: its answers on the test split and its weights, in one transaction."""
        with self._write() as session:
            key = _key(session, run_id)
            _keep_evaluation(session, key, evaluation, card)
            session.add(WeightsRow(run_key=key, sha256=hashlib.sha256(weights).hexdigest(), safetensors=weights))
            _end(session, run_id, FINISHED)

    def end(self, run_id: str, status: str, error: str | None = None) -> None:
        """Record that a run ended before its last epoch, and why."""
        with self._write() as session:
            _end(session, run_id, status, error)

    def keep_evaluation(self, run_id: str, evaluation: Evaluation, card: DataCard) -> None:
        """Record a run's answers on a split of the data set that `card` describes; the first ones recorded stay."""
        with self._write() as session:
            _keep_card(session, card)
            _keep_evaluation(session, _key(session, run_id), evaluation, card)

    # Reading

    def runs(self) -> list[Run]:
        """Every run, the oldest first."""
        last = (
            select(
                EpochRow.run_key,
                func.max(EpochRow.epoch).label("epoch"),
                func.sum(EpochRow.seconds).label("seconds"),
            )
            .group_by(col(EpochRow.run_key))
            .subquery()
        )
        query = (
            select(  # type: ignore[call-overload]
                RunRow,
                DataRow.source,
                last.c.epoch,
                last.c.seconds,
                EpochRow.validation_accuracy,
                EvaluationRow.accuracy,
            )
            .join(DataRow, col(DataRow.fingerprint) == RunRow.data_fingerprint)
            .outerjoin(last, last.c.run_key == RunRow.key)
            .outerjoin(EpochRow, (col(EpochRow.run_key) == RunRow.key) & (col(EpochRow.epoch) == last.c.epoch))
            .outerjoin(
                EvaluationRow,
                (col(EvaluationRow.run_key) == RunRow.key)
                & (col(EvaluationRow.data_fingerprint) == RunRow.data_fingerprint)
                & (col(EvaluationRow.split) == "test"),
            )
            .order_by(RunRow.key)
        )
        with self._read() as session:
            return [_run(*row) for row in session.exec(query)]

    def run(self, reference: str) -> Run:
        """The run that a reference names: its id, an unambiguous beginning of it, or `last`.

        Raises UnknownRunError for none, or several.
        """
        found = self.runs()
        if reference == "last" and found:
            return found[-1]
        matches = [run for run in found if run.id.startswith(reference)] if reference else []
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UnknownRunError(
                f"{reference!r} could be any of {', '.join(run.id for run in matches[:5])}"
                f"{' ...' if len(matches) > 5 else ''}; give more of the id"
            )
        raise UnknownRunError(
            f"there is no run {reference!r} in {self.path}; `kws runs list` shows the {len(found)} it has"
        )

    def epochs(self, run_id: str) -> list[Epoch]:
        """A run's epochs, the first one first."""
        with self._read() as session:
            query = select(EpochRow).where(EpochRow.run_key == _key(session, run_id)).order_by(col(EpochRow.epoch))
            return [
                Epoch(
                    **row.model_dump(exclude={"run_key", "iteration_losses", "iteration_accuracies"}),
                    iteration_losses=_unpack(row.iteration_losses),
                    iteration_accuracies=_unpack(row.iteration_accuracies),
                )
                for row in session.exec(query)
            ]

    def evaluations(self, run_id: str) -> list[tuple[DataCard, Evaluation]]:
        """A run's evaluations, each with the card of the data it was on."""
        with self._read() as session:
            query = (
                select(EvaluationRow)
                .where(EvaluationRow.run_key == _key(session, run_id))
                .order_by(col(EvaluationRow.evaluated_at), col(EvaluationRow.split))
            )
            found = []
            for row in session.exec(query):
                card = _card(session, row.data_fingerprint)
                evaluation = Evaluation(
                    split=row.split,
                    loss=row.loss,
                    accuracy=row.accuracy,
                    predictions=zlib.decompress(row.predictions),
                    labels=card.labels_of(row.split),
                )
                found.append((card, evaluation))
            return found

    def card(self, fingerprint: str) -> DataCard:
        """The card of a data set that runs were made on."""
        with self._read() as session:
            return _card(session, fingerprint)

    def weights(self, run_id: str) -> bytes:
        """A run's weights as a safetensors file; raises RegistryError where it has none or they were changed."""
        with self._read() as session:
            row = session.get(WeightsRow, _key(session, run_id))
            if row is None:
                raise RegistryError(
                    f"run {run_id} has no weights in {self.path}: it did not finish, or they were left out"
                )
            if hashlib.sha256(row.safetensors).hexdigest() != row.sha256:
                raise RegistryError(
                    f"the weights of run {run_id} in {self.path} are damaged: their SHA-256 does not match"
                )
            return row.safetensors

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._translated(), Session(writing(self._engine)) as session, session.begin():
            yield session

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with self._translated(), Session(self._engine) as session:
            yield session

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise failure(self.path, error) from None
        except zlib.error as error:
            raise RegistryError(
                f"{self.path} is damaged: labels or predictions in it cannot be read ({error})"
            ) from None
        except UnicodeEncodeError as error:
            raise RegistryError(f"{error.object!r} cannot be kept in {self.path}: it is not UTF-8; rename it") from None


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _columns(recipe: Recipe) -> dict[str, Any]:
    values = dataclasses.asdict(recipe)
    return values | {"words": list(recipe.words), "maps": list(recipe.maps) if recipe.maps else None}


def _key(session: Session, run_id: str) -> int:
    key = session.exec(select(RunRow.key).where(RunRow.id == run_id)).one_or_none()
    if key is None:
        raise UnknownRunError(f"there is no run {run_id!r}")
    return key


def _end(session: Session, run_id: str, status: str, error: str | None = None) -> None:
    row = session.get_one(RunRow, _key(session, run_id))
    row.status, row.error, row.ended_at = status, error, _now()


def _keep_card(session: Session, card: DataCard) -> None:
    """Record a data set, or the splits of it that are new."""
    if session.get(DataRow, card.fingerprint) is not None:
        return
    session.add(
        DataRow(
            fingerprint=card.fingerprint,
            source=card.source,
            classes=list(card.classes),
            front_end=dict(card.front_end),
            mean=card.mean,
            std=card.std,
        )
    )
    session.flush()
    for split, labels in card.labels.items():
        session.add(
            SplitRow(
                data_fingerprint=card.fingerprint,
                split=split,
                fingerprint=card.split_fingerprints[split],
                clips=len(labels),
                counts=list(card.counts[split]),
                labels=zlib.compress(labels),
            )
        )
    session.flush()


def _keep_evaluation(session: Session, key: int, evaluation: Evaluation, card: DataCard) -> None:
    if session.get(EvaluationRow, (key, card.fingerprint, evaluation.split)) is None:
        session.add(
            EvaluationRow(
                run_key=key,
                data_fingerprint=card.fingerprint,
                split=evaluation.split,
                evaluated_at=_now(),
                clips=evaluation.clips,
                loss=evaluation.loss,
                accuracy=evaluation.accuracy,
                predictions=zlib.compress(evaluation.predictions),
            )
        )


def _card(session: Session, fingerprint: str) -> DataCard:
    data = session.get(DataRow, fingerprint)
    if data is None:
        raise RegistryError(f"there is no data set with the fingerprint {fingerprint}")
    found = session.exec(select(SplitRow).where(SplitRow.data_fingerprint == fingerprint)).all()
    splits = sorted(found, key=lambda row: SPLITS.index(row.split))
    return DataCard(
        source=data.source,
        classes=tuple(data.classes),
        counts={row.split: tuple(row.counts) for row in splits},
        split_fingerprints={row.split: row.fingerprint for row in splits},
        labels={row.split: zlib.decompress(row.labels) for row in splits},
        front_end=data.front_end,
        mean=data.mean,
        std=data.std,
    )


def _run(
    row: RunRow,
    source: str,
    epochs_done: int | None,
    seconds: float | None,
    validation_accuracy: float | None,
    test_accuracy: float | None,
) -> Run:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(Recipe)}
    values |= {"words": tuple(row.words), "maps": tuple(row.maps) if row.maps else None}
    about = {field.name: getattr(row, field.name) for field in dataclasses.fields(Environment)}
    return Run(
        id=row.id,
        status=row.status,
        error=row.error,
        name=row.name,
        note=row.note,
        started_at=row.started_at,
        ended_at=row.ended_at,
        parameters=row.parameters,
        data_fingerprint=row.data_fingerprint,
        data_source=source,
        recipe=Recipe(**values),
        environment=Environment(**about),
        epochs_done=epochs_done or 0,
        seconds=seconds or 0.0,
        validation_accuracy=validation_accuracy,
        test_accuracy=test_accuracy,
    )


def _pack(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _unpack(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 4}f", data)
