"""Runs that are killed at random moments: no epoch that was shown is lost, and the end is the same to the bit.

A registry holds unbroken reference runs, one that keeps its last epoch and one that keeps its best. Then runs of these
recipes are begun, killed by SIGKILL several times each and resumed to their end. Most moments are uniform over the time
that the reference took from its start, so that they hit epochs and checkpoints (one every 50 ms at most); some are
before or in the first epoch, and some after the last one, where answers and weights are recorded. A resumed session is
killed later by a share of the time that its own start takes.

After each kill every epoch that the process had said as a whole line must be in the registry with the same figures, the
file must be in order by SQLite's integrity check, and `kws db doctor` must find nothing but that the run is lost.
"""

from __future__ import annotations

import math
import random
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stress import inspecting
from tests.stress.common import Part, say, workspace, write_small_task
from tests.stress.trainer import Trainer, Training, summary

# The learning rate is low so that the figures of all epochs differ.
RECIPE = ["train", "--arch", "cnn", "--maps", "2,1", "--opt", "adam", "--learning-rate", "1e-5"]
RECIPE += ["--batch-size", "16", "--threads", "1"]
KILLS, QUICK_KILLS = 200, 10
SECONDS, QUICK_SECONDS = 10.0, 0.6  # of epochs in the reference run
KILLS_A_RUN = (3, 7)
KEPT = ("final", "best")
_START_SHARE, _END_SHARE = 0.15, 0.15
_END_SECONDS = 0.06  # from the last epoch to the end of the process, more or less
_TRIAL_EPOCHS = 40
_LINE = re.compile(r"epoch +(\d+)/\d+  train/val loss (\S+  accuracy \S+) %.* left")


@dataclass
class _Tally:
    kills: int = 0
    early: int = 0  # before the run was recorded
    first: int = 0  # recorded, but no epoch yet
    late: int = 0  # all epochs recorded
    reported: int = 0
    lost: set[tuple[str, int]] = field(default_factory=set)
    damaged: int = 0
    other: int = 0
    unseen: int = 0
    ended: int = 0
    same: int = 0


@dataclass
class _Run:
    """One run on its way: its recipe's number, its id once the registry has it, and the epochs that were said of it."""

    recipe: int
    id: str | None = None
    said: dict[int, str] = field(default_factory=dict)
    finished: bool = False


def run(quick: bool) -> Part:
    """Kill and resume; returns the figures."""
    part = Part(name="kills")
    with workspace("kills") as folder:
        write_small_task(folder / "task")
        with Trainer(folder) as trainer:
            _Torture(part, trainer, quick).run()
    return part


class _Torture:
    def __init__(self, part: Part, trainer: Trainer, quick: bool) -> None:
        self._part, self._trainer, self._quick = part, trainer, quick
        self._db = trainer.folder / "kills.db"
        self._tally = _Tally()
        self._draw = random.Random(0)

    def run(self) -> None:
        self._make_reference()
        wanted = QUICK_KILLS if self._quick else KILLS
        runs = 0
        while self._tally.kills < wanted:
            runs += 1
            self._torment(runs % len(KEPT), min(self._draw.randint(*KILLS_A_RUN), wanted - self._tally.kills))
            tally = self._tally
            say(f"kills: {tally.kills}/{wanted}, {runs} runs, {len(tally.lost)} epochs lost, {tally.same} the same")
        part, tally = self._part, self._tally
        part.told("epochs of a run", self._epochs)
        part.told("seconds of an unbroken run", round(self._whole, 1))
        part.at_least("kills", tally.kills, wanted)
        part.told("of these before the run was recorded", tally.early)
        part.told("of these before its first epoch was", tally.first)
        part.told("of these after its last epoch was", tally.late)
        part.at_least("epochs reported", tally.reported, 1)
        part.exactly("epochs lost", len(tally.lost), 0)
        part.exactly("damaged files", tally.damaged, 0)
        part.exactly("other findings of `kws db doctor`", tally.other, 0)
        part.exactly("cut-off runs that are not seen as lost", tally.unseen, 0)
        part.exactly("runs resumed to the end", tally.ended, runs)
        part.exactly("of these the same bits", tally.same, runs)

    def _make_reference(self) -> None:
        """How many epochs take the time wanted, then the run that is left in peace."""
        data = ["--data", self._trainer.folder / "task"]
        trial = self._trainer.folder / "trial.db"
        self._trainer.must(*RECIPE, *data, "--epochs", "1", "--db", trial)  # the features are in the cache from now on
        startup, whole = self._watch([*RECIPE, *data, "--epochs", str(_TRIAL_EPOCHS), "--db", trial])
        wanted = QUICK_SECONDS if self._quick else SECONDS
        self._epochs = max(round(wanted * _TRIAL_EPOCHS / (whole - startup)), 20)
        self._commands: list[list[str | Path]] = [
            [*RECIPE, *data, "--epochs", str(self._epochs), "--db", self._db, "--select", kept] for kept in KEPT
        ]
        self._known: set[str] = set()
        self._bits = []
        for command in self._commands:
            self._startup, self._whole = self._watch(command)
            (reference,) = set(inspecting.statuses(self._db)) - self._known
            self._known.add(reference)
            self._bits.append(inspecting.bits(self._db, reference))
        say(f"kills: the reference run has {self._epochs} epochs and took {self._whole:.1f} s")

    def _watch(self, command: list[str | Path]) -> tuple[float, float]:
        """Train in peace; returns the seconds to the first epoch and to the end."""
        training = self._trainer.start(*command)
        while training.wait(0.002) is None and not any(_LINE.match(line) for line in training.said()):
            pass
        startup = time.monotonic() - training.started
        if code := training.end():
            raise RuntimeError(f"the run that was left in peace ended with {code}: {summary(training)}")
        return startup, time.monotonic() - training.started

    def _torment(self, number: int, kills: int) -> None:
        """One run from its start to its end, killed so many times."""
        run, before = _Run(number), 0.0
        for moment in sorted(self._moment() for _ in range(kills)):
            training = self._begin(run)
            if math.isfinite(moment):
                delay = moment - before + (self._draw.uniform(0, self._startup) if before else 0)
                before = moment
            else:
                while training.wait(0.0) is None and f"epoch {self._epochs}/" not in training.last_line():
                    time.sleep(0.001)
                delay = time.monotonic() - training.started + self._draw.uniform(0, _END_SECONDS)
            code = training.wait(max(delay - (time.monotonic() - training.started), 0.0))
            if code is None:
                training.kill()
                code = training.wait()
                self._tally.kills += code == -9
            self._look(run, training, code)
            if run.finished:
                break
        if not run.finished:
            training = self._begin(run)
            code = training.end()
            self._look(run, training, code)
        if run.finished and run.id:
            self._tally.ended += 1
            self._compare(run.id, self._bits[run.recipe])
        if run.id:
            self._known.add(run.id)

    def _moment(self) -> float:
        """Seconds from a run's start; infinity for what is after its last epoch."""
        kind = self._draw.random()
        if kind < _START_SHARE:
            return self._draw.uniform(0, self._startup * 1.1)
        return math.inf if kind > 1 - _END_SHARE else self._draw.uniform(0, self._whole)

    def _begin(self, run: _Run) -> Training:
        return self._trainer.start(
            *(["train", "--resume", run.id, "--db", self._db] if run.id else self._commands[run.recipe])
        )

    def _look(self, run: _Run, training: Training, code: int | None) -> None:
        """Hold the registry to what a process that has ended had said."""
        tally = self._tally
        if found := inspecting.damage(self._db):
            tally.damaged += 1
            self._part.note(f"kill {tally.kills}: the file is damaged: {found[0]}")
            return
        now = inspecting.statuses(self._db)
        new = [run_id for run_id in now if run_id not in self._known and run_id != run.id]
        if new and run.id is None:
            run.id = new.pop()
        if new:
            tally.other += 1
            self._part.note(f"kill {tally.kills}: there are runs that nobody began: {', '.join(new)}")
        self._look_at_epochs(run, training, killed=code == -9)
        status = now.get(run.id or "")
        if code not in (0, -9):
            self._part.note(f"run {run.id} ended with {code}: {summary(training)}")
            tally.other += 1
        run.finished = status == "finished"
        if run.id and status not in ("lost", "finished"):
            tally.unseen += 1
            self._part.note(f"run {run.id} was killed and is {status}")
        for run_id, problem in inspecting.findings(self._db):
            if run_id != run.id or not problem.startswith("is lost"):
                tally.other += 1
                self._part.note(f"kill {tally.kills}: run {run_id} {problem}")

    def _look_at_epochs(self, run: _Run, training: Training, *, killed: bool) -> None:
        tally = self._tally
        lines = [match for line in training.said() if (match := _LINE.fullmatch(line))]
        tally.reported += len(lines)
        run.said |= {int(match[1]): match[2] for match in lines}
        kept = inspecting.epochs_shown(self._db, run.id) if run.id else {}
        if killed:
            tally.early += run.id is None
            tally.first += run.id is not None and not kept
            tally.late += len(kept) == self._epochs
        for epoch, figures in run.said.items():
            if kept.get(epoch) != figures and (str(run.id), epoch) not in tally.lost:
                tally.lost.add((str(run.id), epoch))
                self._part.note(f"run {run.id}: epoch {epoch} was {figures}, the registry has {kept.get(epoch)}")

    def _compare(self, run_id: str, wanted: dict[str, list[tuple[Any, ...]]]) -> None:
        """Whether a run that has ended is its reference to the bit."""
        again = inspecting.bits(self._db, run_id)
        if again == wanted:
            self._tally.same += 1
            return
        for table, rows in wanted.items():
            differ = [i + 1 for i, (a, b) in enumerate(zip(rows, again[table], strict=False)) if a != b]
            if differ or len(rows) != len(again[table]):
                what = f"{len(again[table])} rows instead of {len(rows)}, the first that differ: {differ[:3]}"
                self._part.note(f"run {run_id} is not the reference: {table} has {what}; {_sessions(self._db, run_id)}")


def _sessions(db: Path, run_id: str) -> str:
    """From which epochs a run was gone on with."""
    query = "SELECT first_epoch FROM sessions JOIN runs ON key = run_key WHERE id = ? ORDER BY session"
    with closing(sqlite3.connect(db)) as connection:
        return f"sessions began at the epochs {', '.join(str(row[0]) for row in connection.execute(query, (run_id,)))}"
