"""What a registry's file holds, row by row, for tests/recompute.py: data sets, and cells with their test clips."""

from __future__ import annotations

import json
import math
import sqlite3
import statistics
import zlib
from collections import defaultdict

import numpy as np

METRICS = (
    "test-accuracy", "validation-accuracy", "test-loss", "f1", "seconds", "parameters", "multiply-accumulates",
    "epochs-to-reach", "seconds-to-reach", "processor-seconds-to-reach",
)  # fmt: skip
TO_REACH = {
    "epochs-to-reach": "1",
    "seconds-to-reach": "milliseconds",
    "processor-seconds-to-reach": "processor_seconds",
}
OF_TEST = {"test-accuracy", "test-loss", "f1"}
EXACT = {"parameters", "multiply-accumulates"}


class Data:
    """A data set of the registry: its test labels, and which of its test clips belong together."""

    def __init__(self, file: sqlite3.Connection, fingerprint: str) -> None:
        about = (fingerprint,)
        (classes,) = file.execute("SELECT classes FROM data WHERE fingerprint = ?", about).fetchone()
        self.classes = len(json.loads(classes))
        rows = file.execute(
            "SELECT split, labels, fingerprint FROM splits WHERE data_fingerprint = ?", about
        ).fetchall()
        labels = {row["split"]: np.frombuffer(zlib.decompress(row["labels"]), np.uint8) for row in rows}
        self.labels, self.validation_clips = labels["test"], len(labels["validation"])
        split = next(row["fingerprint"] for row in rows if row["split"] == "test")
        recipes = file.execute("SELECT recipe FROM tests WHERE split_fingerprint = ?", (split,)).fetchall()
        self.recipes_judged = len({row["recipe"] for row in recipes})
        manifest = file.execute(
            "SELECT speakers, digests FROM manifests WHERE data_fingerprint = ? AND split = 'test'", about
        ).fetchone()
        n = len(self.labels)
        names = json.loads(zlib.decompress(manifest["speakers"])) if manifest and manifest["speakers"] else None
        digests = [manifest["digests"][32 * i : 32 * i + 32] for i in range(n)] if manifest else list(range(n))
        self.speakers = len(set(names)) if names else None
        alone = list(range(n))  # what every clip has for itself
        self.groups = self._together(names or alone, digests)
        for keys, sounds in ((names or alone, alone), (alone, digests), (alone, alone)):
            if len(self.groups) == 1:  # nothing would vary over clusters
                self.groups = self._together(keys, sounds)

    @staticmethod
    def _together(names: list, digests: list) -> list[list[int]]:
        """The clips of each cluster: what one speaker said, joined where the same sound is in two."""
        label = list(range(len(names)))
        while True:  # every clip takes the least number of all that share its speaker or its sound, until none changes
            least: dict = {}
            for i, own in enumerate(label):
                for key in (("name", names[i]), ("sound", digests[i])):
                    least[key] = min(least.get(key, own), own)
            new = [min(least["name", names[i]], least["sound", digests[i]]) for i in range(len(names))]
            if new == label:
                break
            label = new
        groups = defaultdict(list)
        for i, own in enumerate(label):
            groups[own].append(i)
        return list(groups.values())


class Runs:
    """A cell: the latest run of each seed, its value, and how much each cluster of test clips moves it."""

    def __init__(
        self, file: sqlite3.Connection, data: Data, rows: list[sqlite3.Row], metric: str, reach: float
    ) -> None:
        latest = {row["seed"]: row for row in sorted(rows, key=lambda row: (row["started_at"], row["id"]))}
        found = {seed: _value(file, data, latest[seed], metric, reach) for seed in sorted(latest)}
        self.values = {seed: value for seed, value in found.items() if value is not None}
        self.rows = {seed: latest[seed] for seed in self.values}
        self.data, self.metric = data, metric
        moved = {seed: _moved(file, data, row, metric) for seed, row in self.rows.items()}
        known = bool(moved) and all(each is not None for each in moved.values())
        self.moved = {seed: np.array(each) for seed, each in moved.items()} if known else None

    @property
    def n(self) -> int:
        return len(self.values)

    def mean(self) -> float:
        return sum(self.values.values()) / self.n

    def centre(self) -> float:
        return statistics.median(self.values.values()) if self.metric in TO_REACH else self.mean()

    def seed_variance(self) -> float | None:
        return statistics.variance(self.values.values()) if self.n > 1 else None

    def network(self) -> tuple:
        row = next(iter(self.rows.values()))
        return row["arch"], row["maps"], row["parameters"]  # networks of other sizes begin with other weights


def _value(file: sqlite3.Connection, data: Data, row: sqlite3.Row, metric: str, reach: float) -> float | None:
    if metric in TO_REACH:
        if not curve_of(file, row):
            return None
        query = f"""
            SELECT sum({TO_REACH[metric]}), count({TO_REACH[metric]}) = count(*) FROM epochs WHERE run_key = :key
            AND epoch <= (SELECT min(epoch) FROM epochs WHERE run_key = :key AND validation_accuracy >= :reach)
            """
        spent, is_known = file.execute(query, {"key": row["key"], "reach": reach}).fetchone()
        if spent is None:
            return math.inf
        return (spent / 1000 if metric == "seconds-to-reach" else float(spent)) if is_known else None
    if metric == "seconds":
        return row["milliseconds"] / 1000
    if metric in EXACT or metric == "validation-accuracy":
        value = row[metric.replace("-", "_")]
        return None if value is None else float(value)
    answers = _answers(file, row)
    if metric == "test-loss":
        return None if answers is None else answers["loss"]
    if answers is None:
        return None
    heard = np.frombuffer(zlib.decompress(answers["predictions"]), np.uint8)
    if metric == "f1":
        return _f1(data.labels, heard, data.classes)
    return int((heard == data.labels).sum()) / len(heard)


def _answers(file: sqlite3.Connection, row: sqlite3.Row) -> sqlite3.Row | None:
    query = "SELECT * FROM evaluations WHERE run_key = ? AND data_fingerprint = ? AND split = 'test'"
    return file.execute(query, (row["key"], row["data_fingerprint"])).fetchone()


def curve_of(file: sqlite3.Connection, row: sqlite3.Row) -> list[float]:
    query = "SELECT validation_accuracy FROM epochs WHERE run_key = ? ORDER BY epoch"
    return [each[0] for each in file.execute(query, (row["key"],))]


def _f1(labels: np.ndarray, heard: np.ndarray, classes: int) -> float:
    scores = []
    for k in range(classes):
        hits, wrong = int(((labels == k) & (heard == k)).sum()), int(((labels == k) != (heard == k)).sum())
        scores.append(2 * hits / (2 * hits + wrong) if hits + wrong else 0.0)
    return sum(scores) / classes


def _moved(file: sqlite3.Connection, data: Data, row: sqlite3.Row, metric: str) -> list[float] | None:
    """How much each cluster moves a run's figure: what is above the mean, clip by clip; of F1, by leaving it out."""
    answers = _answers(file, row) if metric in OF_TEST else None
    if answers is None:
        return None
    heard = np.frombuffer(zlib.decompress(answers["predictions"]), np.uint8)
    if metric == "f1":
        left_out = []
        for group in data.groups:
            kept = np.ones(len(heard), bool)
            kept[group] = False
            left_out.append(_f1(data.labels[kept], heard[kept], data.classes))
        groups = len(left_out)
        return [(groups - 1) / groups * (sum(left_out) / groups - each) for each in left_out]
    each = (heard == data.labels).astype(float)
    if metric == "test-loss":
        query = "SELECT logits FROM logits WHERE run_key = ? AND data_fingerprint = ? AND split = 'test'"
        kept_logits = file.execute(query, (row["key"], row["data_fingerprint"])).fetchone()
        if kept_logits is None:
            return None
        outputs = np.frombuffer(zlib.decompress(kept_logits["logits"]), "<f2").astype(float).reshape(len(heard), -1)
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        each = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(heard)), data.labels]
    mean = each.sum() / len(each)
    return [sum(each[i] - mean for i in group) / len(each) for group in data.groups]
