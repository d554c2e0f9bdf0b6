"""Between plain values and rows: what a recipe, a card, an epoch or an evaluation is in the tables, and back."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from kws.data_card import SPLITS, DataCard
from kws.environment import Environment
from kws.events import EpochEnd, Evaluation
from kws.process import Process
from kws.recipe import Recipe
from kws.registry.runs import Epoch, Run

Row = sqlite3.Row
_RECIPE = [field.name for field in dataclasses.fields(Recipe)]
_ENVIRONMENT = [field.name for field in dataclasses.fields(Environment)]
_EPOCH = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
_RUN = (
    "id", "error", "name", "note", "rerun_of", "deleted_at", "started_at", "ended_at", "parameters",
    "multiply_accumulates", "data_fingerprint",
)  # fmt: skip


def of_recipe(recipe: Recipe) -> dict[str, Any]:
    """A recipe as columns of a run."""
    values = {name: getattr(recipe, name) for name in _RECIPE}
    return values | {"words": json.dumps(recipe.words), "maps": json.dumps(recipe.maps) if recipe.maps else None}


def run(row: Row, *, status: str, tags: tuple[str, ...] = ()) -> Run:
    """A run from its row, joined with the source of its data; its status may be told better than the row knows it."""
    recipe = {name: row[name] for name in _RECIPE}
    maps = recipe["maps"]
    recipe |= {"words": tuple(json.loads(recipe["words"])), "maps": tuple(json.loads(maps)) if maps else None}
    recipe["softmax"] = bool(recipe["softmax"])
    environment = {name: row[name] for name in _ENVIRONMENT}
    if environment["git_dirty"] is not None:
        environment["git_dirty"] = bool(environment["git_dirty"])
    return Run(
        **{name: row[name] for name in _RUN},
        status=status,
        tags=tags,
        data_source=row["source"],
        recipe=Recipe(**recipe),
        environment=Environment(**environment),
        epochs_done=row["epochs_done"],
        seconds=row["milliseconds"] / 1000,
        validation_accuracy=row["validation_accuracy"],
        test_accuracy=row["test_accuracy"],
    )


def process(row: Row) -> Process:
    """The process of a session's row."""
    return Process(host=row["host"], boot=row["boot"], pid=row["pid"], started=row["process_started"])


def of_process(process: Process) -> dict[str, Any]:
    """A process as columns of a session."""
    return {"host": process.host, "boot": process.boot, "pid": process.pid, "process_started": process.started}


def of_epoch(key: int, epoch: EpochEnd, milliseconds: int) -> dict[str, Any]:
    """An epoch as a row of the run with that key."""
    return {name: getattr(epoch, name) for name in _EPOCH} | {
        "run_key": key,
        "milliseconds": milliseconds,
        "iteration_losses": _pack([iteration.loss for iteration in epoch.iterations]),
        "iteration_accuracies": _pack([iteration.accuracy for iteration in epoch.iterations]),
    }


def epoch(row: Row) -> Epoch:
    """An epoch from its row."""
    return Epoch(
        **{name: row[name] for name in _EPOCH},
        seconds=row["milliseconds"] / 1000,
        iteration_losses=_unpack(row["iteration_losses"]),
        iteration_accuracies=_unpack(row["iteration_accuracies"]),
    )


def of_card(card: DataCard) -> dict[str, Any]:
    """A card as a data set's row, without its splits."""
    return {
        "fingerprint": card.fingerprint,
        "source": card.source,
        "classes": json.dumps(card.classes),
        "front_end": json.dumps(dict(card.front_end)),
        "mean": card.mean,
        "std": card.std,
    }


def of_splits(card: DataCard) -> list[dict[str, Any]]:
    """A card's splits as rows."""
    return [
        {
            "data_fingerprint": card.fingerprint,
            "split": split,
            "fingerprint": card.split_fingerprints[split],
            "clips": len(labels),
            "counts": json.dumps(card.counts[split]),
            "labels": zlib.compress(labels),
        }
        for split, labels in card.labels.items()
    ]


def card(data: Row, splits: Sequence[Row]) -> DataCard:
    """A card from a data set's row and its splits'."""
    ordered = sorted(splits, key=lambda row: SPLITS.index(row["split"]))
    return DataCard(
        source=data["source"],
        classes=tuple(json.loads(data["classes"])),
        counts={row["split"]: tuple(json.loads(row["counts"])) for row in ordered},
        split_fingerprints={row["split"]: row["fingerprint"] for row in ordered},
        labels={row["split"]: zlib.decompress(row["labels"]) for row in ordered},
        front_end=json.loads(data["front_end"]),
        mean=data["mean"],
        std=data["std"],
    )


def of_evaluation(key: int, evaluation: Evaluation, card: DataCard) -> dict[str, Any]:
    """An evaluation as a row of the run with that key, but for its time."""
    return {
        "run_key": key,
        "data_fingerprint": card.fingerprint,
        "split": evaluation.split,
        "clips": evaluation.clips,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "predictions": zlib.compress(evaluation.predictions),
    }


def evaluation(row: Row, card: DataCard) -> Evaluation:
    """An evaluation from its row and the card of the data it was on."""
    return Evaluation(
        split=row["split"],
        loss=row["loss"],
        accuracy=row["accuracy"],
        predictions=zlib.decompress(row["predictions"]),
        labels=card.labels_of(row["split"]),
    )


def _pack(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def _unpack(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 4}f", data)
