"""The sentences of the README that come from benchmarks/results/, for its cog blocks."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"


class FailedError(LookupError):
    """There is a row, and it says that what was timed failed."""


def first_minutes() -> str:
    """What the two commands take on a fresh machine, and what they need; of tests that failed no time is given."""
    results = _read("first")
    installed, table, end, disk, memory = (
        _row(results, what)["ours"]["median"]
        for what in (
            "`make train` in a fresh clone: packages",
            "from there to the first table",
            "from there to the end",
            "disk",
            "memory",
        )
    )
    tests = ""
    with suppress(FailedError):
        tests = f"; the tests took {_row(results, '`make test`')['ours']['median'] / 60:.1f} minutes"
    cores = results["machine"]["cores"]
    return (
        f"On {cores} cores the installation took {installed / 60:.1f} minutes, the first table {table:.1f} s more,\n"
        f"and the training with its table {end / 60:.1f} minutes{tests}. That needs\n"
        f"{disk / 1000:.1f} GB of disk and {memory / 1000:.1f} GB of memory "
        "([measured](docs/benchmarks.md#the-first-minutes))."
    )


def speed() -> str:
    """Three ratios, each of medians measured side by side."""
    results = _read("latest")
    step = _row(results, "cnn training step, fp32, batch", "plain PyTorch")
    features = _row(results, "clips to features", "librosa, clip by clip")
    compare = _row(results, "`kws compare` over 1,000 runs", "MLflow, the best of each by query")
    seconds = compare["ours"]["median"]
    return "\n".join(
        (
            f"- A training step of the convolutional network is {_times(step)} as fast as in a plain PyTorch loop.",
            f"- Clips become features {_times(features)} as fast as with librosa.",
            f"- A table of 1,000 runs takes {seconds:.2f} s, {_times(compare)} as fast as from MLflow.",
        )
    )


def _times(row: dict[str, Any]) -> str:
    return f"{row['ratio']['median']:.1f} times"


def _read(table: str) -> dict[str, Any]:
    return json.loads((_RESULTS / f"{table}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _row(results: dict[str, Any], what: str, against: str = "") -> dict[str, Any]:
    """The first row whose names begin so.

    Raises LookupError where there is none, and FailedError where what was timed there failed, so that neither goes
    unnoticed.
    """
    for row in results["rows"]:
        if row["what"].startswith(what) and row["against"].startswith(against):
            if "failed" in row["note"]:
                raise FailedError(f"benchmarks/results/ says of {what!r}: {row['note']}")
            return row  # type: ignore[no-any-return]
    raise LookupError(f"benchmarks/results/ has no row {what!r} against {against!r}")
