"""Many processes that train into one registry at once, which none of them finds there, while others read it.

Each run must be there in the end with all its epochs, its answers and its weights; no process may end with another exit
code than 0 or with a traceback; and what a reader sees never goes backwards and always belongs together.

After that many registries are made one after the other while others wait to read them (see tests.stress.making).
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.stress import inspecting, making
from tests.stress.common import REPOSITORY, Part, environment, say, workspace, write_small_task
from tests.stress.trainer import Trainer, summary

WRITERS, QUICK_WRITERS = 16, 4
READERS, QUICK_READERS = 4, 2
EPOCHS = 30
MADE, QUICK_MADE, MADE_READERS = 200, 10, 2
_READER_SECONDS = 60.0  # for a reader to begin, and to end
_COUNTS = {
    "runs": "SELECT count(*) FROM runs WHERE status = 'finished' AND epochs_done = epochs AND test_accuracy NOT NULL",
    "epochs": "SELECT count(*) FROM epochs",
    "evaluations": "SELECT count(*) FROM evaluations WHERE split = 'test'",
    "weights": "SELECT count(DISTINCT run_key) FROM weights",
    "sessions": "SELECT count(*) FROM sessions",
}


def run(quick: bool) -> Part:
    """Train and read at once; returns the figures."""
    part = Part(name="writers")
    writers, readers = (QUICK_WRITERS, QUICK_READERS) if quick else (WRITERS, READERS)
    with workspace("writers") as folder:
        write_small_task(folder / "task")
        with Trainer(folder) as trainer:
            # The features are in the cache from here on, so that all processes come to the new registry at once.
            trainer.must(*_command(folder, folder / "warm.db", seed=0, epochs=1))
            _torture(part, trainer, folder / "shared.db", writers, readers)
        made = QUICK_MADE if quick else MADE
        errors = making.make(folder, made, MADE_READERS)
    if errors:
        part.note(f"{len(errors)} x while a registry is made: {errors[0]}")
    part.told("registries made while they are read", made)
    part.exactly("readers told something else than that there is none yet", len(errors), 0)
    return part


def _command(folder: Path, db: Path, *, seed: int, epochs: int = EPOCHS) -> list[str | Path]:
    recipe = ["train", "--arch", "cnn", "--maps", "2,1", "--opt", "adam", "--batch-size", "16", "--threads", "1"]
    return [*recipe, "--epochs", str(epochs), "--seed", str(seed), "--data", folder / "task", "--db", db]


def _torture(part: Part, trainer: Trainer, db: Path, writers: int, readers: int) -> None:
    with _readers(db, trainer.folder, readers) as answers:
        start = time.perf_counter()
        trainings = [trainer.start(*_command(trainer.folder, db, seed=seed)) for seed in range(writers)]
        failed = 0
        for number, training in enumerate(trainings):
            code = training.end()
            if code or any("Traceback" in line for line in training.said()):
                failed += 1
                part.note(f"writer {number} ended with {code}: {summary(training)}")
        seconds = time.perf_counter() - start
        say(f"writers: {writers} processes ended in {seconds:.1f} s")
    for answer in answers:
        for error in answer["errors"]:
            part.note(f"reader: {error}")
    expected, found = _expected(writers), _found(db)
    problems = inspecting.damage(db) + [f"run {run} {problem}" for run, problem in inspecting.findings(db)]
    for problem in problems:
        part.note(problem)
    part.told("processes that train", writers)
    part.told("processes that read", readers)
    part.at_least("reads", sum(answer["reads"] for answer in answers), readers)
    part.told("reads before there was a registry", sum(answer["early"] for answer in answers))
    part.exactly("errors of those that train", failed, 0)
    part.exactly("errors of those that read", sum(len(answer["errors"]) for answer in answers), 0)
    part.exactly("rows", sum(found.values()), sum(expected.values()))
    part.exactly("findings of `kws db doctor`", len(problems), 0)
    part.told("seconds", round(seconds, 1))
    for table, count in expected.items():
        if found[table] != count:
            part.note(f"there are {found[table]} rows of {table} instead of {count}")
    part.details = {"expected": expected, "found": found}


def _expected(writers: int) -> dict[str, int]:
    each = {"runs": 1, "epochs": EPOCHS, "evaluations": 1, "weights": 1, "sessions": 1}
    return {table: writers * count for table, count in each.items()}


def _found(db: Path) -> dict[str, int]:
    try:
        with closing(sqlite3.connect(db)) as connection:
            return {table: connection.execute(query).fetchone()[0] for table, query in _COUNTS.items()}
    except sqlite3.Error as error:
        say(f"writers: the registry cannot be read: {error}")
        return dict.fromkeys(_COUNTS, 0)


@contextmanager
def _readers(db: Path, folder: Path, count: int) -> Iterator[list[dict[str, Any]]]:
    """Processes that read for as long as this lasts; the list holds what each one answered after it."""
    answers: list[dict[str, Any]] = []
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.stress.reading", str(db)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=environment(KWS_CACHE=str(folder / "cache"), HOME=str(folder)),
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout
            process.stdout.readline()  # it has imported all and begins now
        yield answers
        for process in processes:
            output, _ = process.communicate("stop\n", timeout=_READER_SECONDS)
            lines = output.splitlines()
            answers.append(json.loads(lines[-1]) if lines else {"reads": 0, "early": 0, "errors": ["it ended early"]})
    finally:
        for process in processes:
            process.kill()
            process.wait()
