"""Makes rows of tables of recipes, cards, epochs, evaluations and other plain values; decoding.py reads them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from kws.events import DataCard, EpochEnd, Evaluation
from kws.recipe import Recipe
from kws.registry.process import Process

EPOCH_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "processor_seconds")


def of_recipe(recipe: Recipe) -> dict[str, Any]:
    """A recipe as columns of a training."""
    return {"recipe_json": recipe.text, "recipe_digest": recipe.digest, "cell_digest": recipe.cell}


def of_process(process: Process) -> dict[str, Any]:
    """A process as columns of a session."""
    return {"host": process.host, "boot": process.boot, "pid": process.pid, "process_started": process.started}


def of_epoch(key: int, epoch: EpochEnd, milliseconds: int) -> dict[str, Any]:
    """An epoch as a row of the run with that key."""
    return {name: getattr(epoch, name) for name in EPOCH_COLUMNS} | {
        "run_key": key,
        "milliseconds": milliseconds,
        "iteration_losses": _pack([iteration.loss for iteration in epoch.iterations]),
        "iteration_accuracies": _pack([iteration.accuracy for iteration in epoch.iterations]),
    }


def of_card(card: DataCard) -> dict[str, Any]:
    """A card as a data set's row, without its splits."""
    return {
        "fingerprint": card.fingerprint,
        "source": card.source,
        "classes": json.dumps(card.classes),
        "front_end": json.dumps(dict(card.front_end)),
        "mean": card.mean,
        "std": card.std,
        "draw": card.draw,
        "content": card.content,
        "band_means": json.dumps(card.band_means) if card.band_means else None,
        "unused": json.dumps(dict(card.unused)) if card.unused else None,
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


def of_manifests(card: DataCard) -> list[dict[str, Any]]:
    """A card's manifests as rows."""
    return [
        {
            "data_fingerprint": card.fingerprint,
            "split": split,
            "paths": _squeeze(manifest.paths),
            "digests": manifest.digests,
            "speakers": None if manifest.speakers is None else _squeeze(manifest.speakers),
            "modified_ns": _squeeze(manifest.modified_ns),
            "seconds": _squeeze(manifest.seconds),
        }
        for split, manifest in card.manifests.items()
    ]


def of_evaluation(key: int, evaluation: Evaluation, card: DataCard) -> dict[str, Any]:
    """An evaluation as a row of the run with that key, without its time."""
    return {
        "run_key": key,
        "data_fingerprint": card.fingerprint,
        "split": evaluation.split,
        "clips": evaluation.clips,
        "loss": evaluation.loss,
        "objective": evaluation.objective,
        "accuracy": evaluation.accuracy,
        "predictions": zlib.compress(evaluation.predictions),
    }


def of_logits(key: int, evaluation: Evaluation, card: DataCard) -> dict[str, Any]:
    """An evaluation's logits as a row of the run with that key."""
    return {
        "run_key": key,
        "data_fingerprint": card.fingerprint,
        "split": evaluation.split,
        "logits": zlib.compress(evaluation.logits),
    }


def _squeeze(values: Sequence[Any]) -> bytes:
    return zlib.compress(json.dumps(values).encode())  # file names that are not UTF-8 keep their surrogates, escaped


def _pack(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
