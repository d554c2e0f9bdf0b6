"""Runs as JSON records with keys that scripts rely on. SCHEMA grows when a key changes its meaning or is removed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kws.events import DataCard, Evaluation
from kws.recipe import Recipe
from kws.recipe.presets import Preset, name_of
from kws.registry.runs import Epoch, Run, total_of
from kws.reports.classes import ClassReport
from kws.reports.statistics import Interval, over_clips

if TYPE_CHECKING:
    from kws.reports.coverage import Coverage
    from kws.reports.scores import Detection, Scores
    from kws.reports.unheard import Unheard

SCHEMA = 2
_COMPARED = (
    "data_fingerprint", "status", "parameters", "epochs_done", "validation_accuracy", "test_accuracy", "seconds",
)  # fmt: skip


def run_record(run: Run) -> dict[str, Any]:
    """The record of `kws train --json`, and of each run in `kws runs list --json`."""
    return {
        "schema": SCHEMA,
        "run": run.id,
        "status": run.status,
        "last_seen": run.last_seen,
        "error": run.error,
        "name": run.name,
        "note": run.note,
        "tags": run.tags,
        "rerun_of": run.rerun_of,
        "deleted_at": run.deleted_at,
        "arch": run.recipe.arch,
        "opt": run.recipe.opt,
        "seed": run.recipe.seed,
        "softmax_before_loss": run.recipe.softmax_before_loss,
        "epochs": run.epochs_done,
        "epochs_planned": run.recipe.epochs,
        "ended_by": run.ended_by,
        "parameters": run.parameters,
        "multiply_accumulates": run.multiply_accumulates,
        "selection": run.recipe.selection,
        "data": run.data_source,
        "data_fingerprint": run.data_fingerprint,
        "validation_accuracy": run.validation_accuracy,
        "test_accuracy": run.test_accuracy,
        "seconds": run.seconds,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def recipe_record(recipe: Recipe, values: Mapping[str, Any], start: Preset | None, command: str) -> dict[str, Any]:
    """The record of `kws train --show --json`: the preset that a recipe is, and that it starts from."""
    about = ("name", "title", "purpose", "found", "trials")
    return {
        "schema": SCHEMA,
        "preset": name_of(recipe),
        "starts_from": {name: getattr(start, name) for name in about} if start else None,
        "recipe": dict(values),
        "cell": recipe.cell,
        "command": command,
    }


def full_record(
    run: Run, card: DataCard, evaluations: list[tuple[DataCard, Evaluation]], epochs: list[Epoch], *, judged: int
) -> dict[str, Any]:
    """The record of `kws runs show --json`: the run's record, and everything else; `epochs` is a list here.

    `judged` is the number of recipes that its test split has judged.
    """
    return run_record(run) | {
        "recipe": run.recipe.values,
        "source_sha256": run.recipe.source,
        "data": _card_record(card),
        "environment": dataclasses.asdict(run.environment),
        "evaluations": [
            evaluation_record(run, on, evaluation, ClassReport.of(evaluation, on.classes))
            for on, evaluation in evaluations
        ],
        "epochs": [dataclasses.asdict(epoch) for epoch in epochs],
        "processor_seconds": total_of(epochs),
        "recipes_judged": judged,
    }


def difference(first: Run, second: Run) -> tuple[dict[str, tuple[Any, Any]], tuple[str, ...]]:
    """The fields in which two runs differ, with both values, and the fields in which they are the same."""
    sides = [
        run.recipe.values
        | {f"{field}": value for field, value in dataclasses.asdict(run.environment).items() if field != "command"}
        | {field: getattr(run, field) for field in _COMPARED}
        for run in (first, second)
    ]
    pairs = {field: (sides[0].get(field), sides[1].get(field)) for field in sides[0] | sides[1]}
    return (
        {field: pair for field, pair in pairs.items() if pair[0] != pair[1]},
        tuple(field for field, pair in pairs.items() if pair[0] == pair[1]),
    )


def evaluation_record(run: Run, card: DataCard, evaluation: Evaluation, report: ClassReport) -> dict[str, Any]:
    """The record of an evaluation in `kws runs show --json` and `kws eval --json`; intervals are [low, high]."""
    right = sum(report.confusion[i][i] for i in range(len(report.scores)))
    return {
        "schema": SCHEMA,
        "run": run.id,
        "split": evaluation.split,
        "data": card.source,
        "data_fingerprint": card.fingerprint,
        "clips": evaluation.clips,
        "accuracy": evaluation.accuracy,
        "accuracy_interval": _ends(over_clips(right, evaluation.clips)),
        "loss": evaluation.loss,
        "objective": evaluation.objective,
        "classes": {
            score.name: {
                "precision": score.precision,
                "precision_interval": _ends(interval.precision),
                "recall": score.recall,
                "recall_interval": _ends(interval.recall),
                "f1": score.f1,
                "f1_interval": _ends(interval.f1),
                "clips": score.clips,
            }
            for score, interval in zip(report.scores, report.intervals(), strict=True)
        },
        "confusion_matrix": report.confusion,
    }


def coverage_record(coverage: Coverage) -> dict[str, Any]:
    """What `kws eval --json` says about coverage: clips trained on, clips left out, and classes without clips."""
    return {
        "trained_on": coverage.trained_on,
        "clips_offered": coverage.offered,
        "left_out": dict(coverage.left_out),
        "left_out_is_known": coverage.is_whole,
        "not_tested": coverage.not_tested,
    }


def scores_record(scores: Scores | None, names: Sequence[str], most: int) -> dict[str, Any]:
    """What `kws eval --json` adds about confidence: detection, calibration and errors; None if outputs are not kept."""
    if scores is None:
        return {"detection": None, "calibration": None, "most_confident_errors": None}
    calibration = scores.calibration()
    return {
        "detection": {found.name: _detection(found) for found in map(scores.detection, range(len(scores.classes)))},
        "calibration": {
            "expected_error": calibration.expected_error,
            "expected_error_interval": _ends(calibration.expected_error_interval),
            "brier": calibration.brier,
            "brier_interval": _ends(calibration.brier_interval),
            "bins": [
                {"from": b.low, "to": b.high, "clips": b.clips, "probability": b.probability, "right": b.right}
                | {"right_interval": _ends(b.interval)}
                for b in calibration.bins
            ],
        },
        "most_confident_errors": [
            {
                "clip": names[wrong.clip],
                "label": scores.classes[wrong.label],
                "prediction": scores.classes[wrong.prediction],
                "probability": wrong.probability,
            }
            for wrong in scores.most_confident_errors(most)
        ],
    }


def unheard_record(unheard: Unheard | None) -> dict[str, Any]:
    """What `kws eval --json` says about words never heard in training; None where a run has heard all."""
    if unheard is None:
        return {"unheard": None}
    return {
        "unheard": {
            "split": unheard.split,
            "data_fingerprint": unheard.card.fingerprint,
            "miss_rate": unheard.miss_rate,
            "thresholds": dict(unheard.thresholds),
            "clips": len(unheard.accepted),
            "accepted": int(unheard.accepted.sum()),
            "rate": unheard.rate,
            "rate_interval": _ends(unheard.interval()),
            "words": {
                word: {"clips": clips, "accepted": accepted, "taken_for": taken}
                for word, (accepted, clips, taken) in unheard.of_words().items()
            },
        }
    }


def _detection(found: Detection) -> dict[str, Any]:
    return {
        "equal_error_rate": _number(found.equal_error_rate),
        "equal_error_rate_interval": _ends(found.equal_error_interval),
        "roc_area": _number(found.area),
        "roc_area_interval": _ends(found.area_interval),
        "thresholds": [_number(value) for value in found.thresholds.tolist()],
        "false_accept_rates": [_number(value) for value in found.false_accept_rates.tolist()],
        "miss_rates": [_number(value) for value in found.miss_rates.tolist()],
    }


def _ends(interval: Interval | None) -> tuple[float, float] | None:
    return (interval.low, interval.high) if interval else None


def _number(value: float) -> float | None:
    """A number that JSON can express; None if it is not finite."""
    return value if math.isfinite(value) else None


def _card_record(card: DataCard) -> dict[str, Any]:
    return {
        "source": card.source,
        "fingerprint": card.fingerprint,
        "classes": card.classes,
        "splits": {
            split: {"clips": sum(counts), "counts": counts, "fingerprint": card.split_fingerprints[split]}
            for split, counts in card.counts.items()
        },
        "features": dict(card.front_end),
        "mean": card.mean,
        "std": card.std,
    }
