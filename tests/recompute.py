"""`python tests/recompute.py REGISTRY`: every figure of `kws compare --paper --format json`, computed once more.

It imports nothing of kws: rows are read as they lie in the file (recomputed_data.py), and each figure is made from its
formula by another way than the program's (recomputed_errors.py). Where that has influence values of speakers, this has
the whole layout of seeds and clips: a covariance of every pair of seeds of both sides, cluster by cluster; quantiles of
scipy.stats; the ends of Wilson's interval as roots of its equation; F1 counted anew without each speaker.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import closing
from itertools import combinations
from pathlib import Path

from recomputed_data import EXACT, METRICS, OF_TEST, TO_REACH, Data, Runs, curve_of
from recomputed_errors import Error, largest_of, told

CLAIMS_LEVEL = 1 - 0.05 / 4
LESS_IS_BETTER = {"test-loss", "seconds", "parameters", "multiply-accumulates", *TO_REACH}
SHARES = {"test-accuracy", "validation-accuracy", "f1"}
CELL = ("arch", "maps", "softmax", "parameters", "opt", "learning_rate", "momentum", "weight_decay")
USUAL = {"sgd": (0.01, 0.9, 1e-5), "adam": (0.001, None, 0.0)}  # learning rate, momentum, weight decay
REPORTED = {
    ("fc", "sgd", 0): 0.8527,
    ("fc", "adam", 0): 0.8796,
    ("cnn", "sgd", 0): 0.8959,
    ("cnn", "adam", 0): 0.9178,
    ("fc", "sgd", 1): 0.778,
}


# Tables, the report's figures, its claims


def tables(path: Path, metric: str = "test-accuracy", reach: float = 0.9) -> list[dict]:
    """What the file's tables should say; a cell is known by its runs."""
    with closing(sqlite3.connect(path)) as file:
        file.row_factory = sqlite3.Row
        grouped: dict = defaultdict(list)
        query = "SELECT runs.*, source FROM runs JOIN data ON fingerprint = data_fingerprint WHERE deleted_at IS NULL"
        for row in file.execute(query):
            if row["status"] == "finished" and (row["test_accuracy"] is not None or metric not in OF_TEST):
                same = ("source", "data_fingerprint", "epochs", "batch_size", "precision", "selection")
                rules = json.loads(row["recipe_json"])
                ended = [rules.get(rule) for rule in ("until", "patience")]
                key = (*(row[key] for key in same), *((rule is not None, rule or 0) for rule in ended))
                grouped[key].append(row)
        made = [_table(file, rows, metric, reach) for _, rows in sorted(grouped.items())]
        return [table for table in made if table["cells"]]


def _table(file: sqlite3.Connection, rows: list[sqlite3.Row], metric: str, reach: float) -> dict:
    data = Data(file, rows[0]["data_fingerprint"])
    of_cells: dict = defaultdict(list)
    for row in rows:
        of_cells[tuple(row[key] for key in CELL)].append(row)
    cells = {key: Runs(file, data, of_cell, metric, reach) for key, of_cell in of_cells.items()}
    cells = {key: cell for key, cell in cells.items() if cell.n}
    centres = {key: cell.centre() for key, cell in cells.items()}
    best = (min if metric in LESS_IS_BETTER else max)(centres.values(), default=math.nan)
    tested = metric == "test-accuracy" and len(cells) > 1
    differences = {}
    if tested:
        for one, other in combinations(cells, 2):
            paired = cells[one].network() == cells[other].network()
            differences[one, other] = Error((1, cells[one]), (-1, cells[other]), paired=paired)
    p_values = told(centres, differences) if tested else {}
    judged = data.recipes_judged if metric in OF_TEST else 0
    optimism = None
    if judged > 1 and differences:
        optimism = math.sqrt(statistics.mean(each.variance / 2 for each in differences.values())) * largest_of(judged)
    made = {
        "test_clips": len(data.labels),
        "test_speakers": data.speakers,
        "recipes_judged": judged,
        "optimism": optimism,
        "tested": tested,
        "cells": [_cell(cell, best, p_values.get(key)) for key, cell in cells.items()],
    }
    epochs, batch, precision, selection = (rows[0][key] for key in ("epochs", "batch_size", "precision", "selection"))
    of_report = metric == "test-accuracy" and (epochs, batch, precision, selection) == (50, 1024, "fp32", "final")
    if of_report and (known := _of_report(cells)):
        figures = [_figure(known.get(key), reported) for key, reported in REPORTED.items()]
        made["paper"] = {"figures": figures, "claims": _claims(file, known)}
    return made


def _cell(cell: Runs, best: float, p: float | None) -> dict:
    metric, centre = cell.metric, cell.centre()
    leads = centre == best or math.isclose(centre, best, rel_tol=1e-12)
    reached = [value for value in cell.values.values() if math.isfinite(value)]
    made = {
        "n": cell.n,
        "mean": centre if math.isfinite(centre) else None,
        "std": None if cell.n < 2 or metric in EXACT or metric in TO_REACH else math.sqrt(cell.seed_variance()),
        "reached": len(reached) if metric in TO_REACH else None,
        "best": leads and math.isfinite(centre),
        "tie": p is not None and p > 0.05 and not leads,
        "p": None if leads else p,
        "seeds": list(cell.values),
        "runs": [row["id"] for row in cell.rows.values()],
        "values": [value if math.isfinite(value) else None for value in cell.values.values()],
        "parameters": next(iter(cell.rows.values()))["parameters"],
        "low": None,
        "high": None,
        "standard_error": None,
        "freedom": None,
    }
    if metric in EXACT or metric in TO_REACH or (cell.n == 1 and cell.moved is None and metric not in SHARES):
        return made
    error, clips = Error((1, cell)), len(cell.data.labels)
    if cell.moved is None and metric in SHARES:
        clips = clips if metric in OF_TEST else cell.data.validation_clips
        error = error.with_clips(clips)
    low, high = error.share_interval(clips) if metric in SHARES else error.interval()
    freedom = error.freedom if math.isfinite(error.freedom) else None
    return made | {
        "low": max(low, 0.0), "high": high, "standard_error": math.sqrt(error.variance), "freedom": freedom,
    }  # fmt: skip


def _of_report(cells: dict) -> dict:
    """The cells of the report's recipes, by network, optimizer and whether there is a softmax before cross-entropy."""
    known = {}
    for (arch, maps, softmax, _, opt, *hyperparameters), cell in cells.items():
        key = (arch, opt, int(softmax))
        if maps is None and USUAL.get(opt) == tuple(hyperparameters) and (key in REPORTED or key == ("fc", "adam", 1)):
            known[key] = cell
    return known


def _figure(cell: Runs | None, reported: float) -> dict:
    if cell is None:
        return {"reported": reported, "n": 0, "mean": None, "low": None, "high": None, "difference": None,
                "difference_low": None, "difference_high": None, "runs": []}  # fmt: skip
    error = Error((1, cell))
    own = _cell(cell, math.nan, None)
    apart = Error((1, cell))  # from one more run, of a seed of its own, on 1,229 clips of its own
    apart.value -= reported
    apart.of_seeds += cell.seed_variance() or 0.0
    apart.of_clusters += max(error.of_clusters - error.of_both, 0.0) * len(cell.data.labels) / 1229
    low, high = apart.interval() if cell.n > 1 else (None, None)
    return {
        "reported": reported,
        "n": cell.n,
        "mean": own["mean"],
        "low": own["low"],
        "high": own["high"],
        "difference": cell.mean() - reported,
        "difference_low": low,
        "difference_high": high,
        "runs": own["runs"],
    }


def _claims(file: sqlite3.Connection, known: dict) -> list[dict]:
    def points(better: tuple, worse: tuple, wanted: float = 0.0, reported: float | None = None) -> dict:
        if better not in known or worse not in known:
            return _nothing(wanted, reported)
        one, other = known[better], known[worse]
        error = Error((1, one), (-1, other), paired=one.network() == other.network())
        return _evidence(error, 100.0, [one.n, other.n], wanted, reported)

    claims = [
        [points((arch, "adam", 0), (arch, "sgd", 0), 2.0) for arch in ("fc", "cnn")],
        [_sooner(file, known.get((arch, "adam", 0)), known.get((arch, "sgd", 0))) for arch in ("fc", "cnn")],
        [points(("cnn", opt, 0), ("fc", opt, 0)) for opt in ("sgd", "adam")],
        [
            points(("fc", "sgd", 0), ("fc", "sgd", 1), 0.0, 100 * (0.8527 - 0.778)),
            points(("fc", "adam", 0), ("fc", "adam", 1)),
        ],
    ]
    worst_last = ["holds", "smaller than reported", "inconclusive", "does not hold"]
    made = []
    for number, parts in enumerate(claims, start=1):
        verdict = max((_verdict(part) for part in parts), key=worst_last.index)
        sizes = {key[0]: next(iter(cell.rows.values()))["parameters"] for key, cell in known.items()}
        if (
            number == 3
            and sizes.get("cnn", 0) >= sizes.get("fc", 0)
            and all(part["mean"] is not None for part in parts)
        ):
            verdict = "does not hold"
        told = [{**part, "verdict": _verdict(part)} for part in parts]
        made.append({"number": number, "verdict": verdict, "evidence": told})
    return made


def _nothing(wanted: float, reported: float | None) -> dict:
    empty = (
        "mean",
        "low",
        "high",
        "standard_error",
        "freedom",
        "detectable",
        "plan",
        "seeds_to_tell",
        "error_of_clips",
    )
    return {"wanted": wanted, "reported": reported, "n": 0, **dict.fromkeys(empty)}


def _evidence(error: Error, scale: float, seeds: list[int], wanted: float, reported: float | None) -> dict:
    known = error.n > 1
    level = CLAIMS_LEVEL
    low, high = error.interval(level)
    made = {
        "wanted": wanted,
        "reported": reported,
        "n": error.n,
        "seeds": seeds,
        "mean": scale * error.value,
        "low": scale * low if known else None,
        "high": scale * high if known else None,
        "standard_error": scale * math.sqrt(error.variance),
        "freedom": error.freedom if math.isfinite(error.freedom) else None,
        "detectable": scale * error.findable(level) if known else None,
        "error_of_clips": scale * math.sqrt(max(error.of_clusters - error.of_both, 0.0)) if known else None,
        "plan": None,
        "seeds_to_tell": None,
    }
    if known and _verdict(made) == "inconclusive":
        made["plan"] = plan = error.plan(abs(error.value - wanted / scale), level)
        if plan and plan["speakers"] == 1:
            made["seeds_to_tell"] = min(n + more for n, more in zip(seeds, plan["more_seeds"], strict=True))
    return made


def _sooner(file: sqlite3.Connection, adam: Runs | None, sgd: Runs | None) -> dict:
    seeds = sorted(set(adam.rows) & set(sgd.rows)) if adam and sgd else []
    if not seeds:
        return _nothing(0.0, None)
    curves = [{seed: curve_of(file, cell.rows[seed]) for seed in seeds} for cell in (adam, sgd)]
    top = min(max(curve) for side in curves for curve in side.values())
    goal = max(percent / 100 for percent in range(101) if percent <= 100 * top + 1e-9)
    first = [{seed: next(i for i, x in enumerate(side[seed], 1) if x >= goal) for seed in seeds} for side in curves]

    class Gains:
        values, n, moved = {seed: float(first[1][seed] - first[0][seed]) for seed in seeds}, len(seeds), None
        mean, seed_variance = Runs.mean, Runs.seed_variance

    return _evidence(Error((1, Gains())), 1.0, [len(seeds)] * 2, 0.0, None)  # type: ignore[arg-type]


def _verdict(part: dict) -> str:
    if part["low"] is None or part["n"] < 2:
        return "inconclusive"
    low, high, wanted = part["low"], part["high"], part["wanted"]
    size = part["reported"] if part["reported"] is not None else wanted
    if low > wanted and high >= size:
        return "holds"
    if low > 0 and high < size:
        return "smaller than reported"
    if low > wanted:
        return "holds"
    return "does not hold" if high <= wanted else "inconclusive"


# Holding the program to it


def differing(wanted: object, found: object, where: str = "") -> tuple[int, list[str]]:
    """How many figures were compared, and those that are not the same within 1e-9 of their size."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        parts = [differing(value, found[key], f"{where}.{key}") for key, value in wanted.items()]  # type: ignore[index]
    elif isinstance(wanted, list):
        if len(wanted) != len(found):  # type: ignore[arg-type]
            return 1, [f"{where}: {len(wanted)} recomputed, {len(found)} found"]  # type: ignore[arg-type]
        parts = [
            differing(one, other, f"{where}[{i}]") for i, (one, other) in enumerate(zip(wanted, found, strict=True))
        ]  # type: ignore[call-overload]
    else:
        same = wanted == found
        if isinstance(wanted, int | float) and isinstance(found, int | float) and not isinstance(wanted, bool):
            same = math.isclose(wanted, found, rel_tol=1e-9, abs_tol=1e-12)
        return 1, [] if same else [f"{where}: {wanted!r} recomputed, {found!r} found"]
    return sum(count for count, _ in parts), [each for _, wrong in parts for each in wrong]


def _plans(table: dict) -> list[dict | None]:
    """What would settle each part of each claim."""
    claims = (table.get("paper") or {"claims": []})["claims"]
    return [part["plan"] for claim in claims for part in claim["evidence"]]


def compare(path: Path, found: dict, metric: str = "test-accuracy", reach: float = 0.9) -> tuple[int, list[str]]:
    """The same of what `kws compare --format json` said of a registry."""
    wanted = tables(path, metric, reach)
    for mine, theirs in zip(wanted, found["tables"], strict=False):
        mine["cells"].sort(key=lambda cell: cell["runs"])
        theirs["cells"].sort(key=lambda cell: cell["runs"])
        if ("paper" in mine) != ("paper" in theirs) and metric == "test-accuracy":
            mine["paper"], theirs["paper"] = mine.get("paper"), theirs.get("paper")
        for one, other in zip(*(_plans(each) for each in (mine, theirs)), strict=False):
            if one and other and math.isclose(one["speakers"], other["speakers"], rel_tol=0.012):
                one["speakers"] = other["speakers"]  # which both find to about a percent only
    return differing(wanted, found["tables"], metric)


def main() -> int:
    """Print what differs; 1 if anything does."""
    if len(sys.argv) != 2:
        sys.stdout.write(__doc__ or "")
        return 2
    with tempfile.TemporaryDirectory() as folder:  # an older registry would be upgraded
        copy = Path(shutil.copy(sys.argv[1], folder))
        status = 0
        for metric in METRICS:
            program = [
                sys.executable,
                "-m",
                "kws",
                "compare",
                "--db",
                str(copy),
                "--metric",
                metric,
                "--format",
                "json",
            ]
            more = ["--paper"] if metric == "test-accuracy" else []
            said = subprocess.run([*program, *more], capture_output=True, text=True, check=True).stdout
            count, wrong = compare(copy, json.loads(said), metric)
            lines = [f"{metric}: {count} figures, {len(wrong)} differ", *(f"  {each}" for each in wrong)]
            sys.stdout.write("\n".join(lines) + "\n")
            status = status or int(bool(wrong))
    return status


if __name__ == "__main__":
    sys.exit(main())
