"""A sweep that is killed again and again, and started again: the same runs to the bit, and none of them twice.

A plan of 20 runs is swept once in peace: the report's table, with few epochs, on the clips in data/speech_commands;
where these are not there, and in the quick form, fc and a small cnn on the tests' small task. Then the same command
works on a second registry and is struck at random moments, in turn by SIGKILL to the sweep, SIGKILL to one of its
processes, SIGINT and SIGTERM to the sweep; in the end it is left alone.

- A moment is drawn so that what is left of the plan is spread over the strikes that are left: from when a process works
  on a run, by the registry. One of five strikes at the sweep itself comes before that, while it starts.
- After SIGKILL to one of its processes the sweep goes on, and is itself what is struck next.
- A process belongs to a sweep if its environment says so: thereby those are found, too, whose sweep is gone.
- On the small task checkpoints are written every 50 ms at most, as by the other trainings here; a file named
  sitecustomize.py says so to every process of a sweep.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tests.stress import inspecting
from tests.stress.common import REPOSITORY, Figure, Part, environment, say, workspace, write_small_task
from tests.stress.trainer import CHECKPOINT_SECONDS

_REAL = REPOSITORY / "data" / "speech_commands"
_REAL_PLAN = ["sweep", "--preset", "table1", "--jobs", "2", "--data", str(_REAL)]
_REAL_EPOCHS = 4
# The learning rate is low so that the figures of all epochs differ.
_PLAN = ["sweep", "--arch", "fc,cnn", "--maps", "2,1", "--opt", "sgd,adam", "--seeds", "5", "--learning-rate", "1e-5"]
_PLAN += ["--batch-size", "16", "--jobs", "2"]
RUNS = 20
KILLS, QUICK_KILLS = 20, 4
SECONDS, QUICK_SECONDS = 20.0, 3.0  # of training in the sweep that is left in peace
KINDS = ("SIGKILL to the sweep", "SIGKILL to a process of it", "SIGINT", "SIGTERM")
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
_CODES = (-9, None, 130, 143)
_EARLY_SHARE = 0.2
_TRIAL_EPOCHS = 20
_GONE_SECONDS = 10.0  # after which no process of a sweep that was killed may be left
_HANGS_SECONDS = 600.0
_LOOK_SECONDS = 0.005
_MARK = "TORTURED_SWEEP"
_WORKING = """
SELECT pid FROM sessions JOIN runs ON key = run_key
WHERE status = 'running' AND session = (SELECT max(session) FROM sessions AS later WHERE later.run_key = key)
"""
_RECIPE = "arch, opt, seed"


def run(quick: bool) -> Part:
    """Sweep, kill and sweep again; returns the figures."""
    part = Part(name="sweeps")
    if not Path("/proc/self/environ").exists():
        part.note("not possible: which processes belong to a sweep is read from /proc")
        part.figures.append(Figure(what="kills", value="not possible here"))
        return part
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who was started with it ignored would pass that on
    with workspace("sweeps") as folder:
        (folder / "site").mkdir()
        if quick or not _REAL.is_dir():
            part.told("swept", "fc and a cnn of 2,1 maps on the tests' small task")
            plan, epochs = [*_PLAN, "--data", str(write_small_task(folder / "task"))], None
            (folder / "site" / "sitecustomize.py").write_text(
                f"from kws.training import runner\n\nrunner.CHECKPOINT_SECONDS = {CHECKPOINT_SECONDS}\n",
                encoding="utf-8",
            )
        else:
            part.told("swept", f"{' '.join(_REAL_PLAN[1:3])} on {_REAL.relative_to(REPOSITORY)}")
            plan, epochs = _REAL_PLAN, _REAL_EPOCHS
        _Torture(part, folder, plan, epochs, quick).run()
    return part


class Sweep:
    """`kws sweep` as a process, and the processes that belong to it."""

    def __init__(self, folder: Path, plan: Sequence[str], db: Path, epochs: int, number: int) -> None:
        self.stderr = folder / f"{number}.err"
        mark = f"{os.getpid()}-{number}"
        self._mark = f"{_MARK}={mark}".encode()
        paths = os.pathsep.join((str(folder / "site"), str(REPOSITORY)))
        about = environment(KWS_CACHE=str(folder / "cache"), HOME=str(folder), PYTHONPATH=paths, **{_MARK: mark})
        command = [sys.executable, "-m", "kws", *plan, "--epochs", str(epochs)]
        with self.stderr.open("wb") as err:
            self.process = subprocess.Popen(
                [*command, "--db", str(db)], stdout=subprocess.DEVNULL, stderr=err, env=about, cwd=folder
            )

    def processes(self) -> set[int]:
        """All that live of those that it has started, and their own; not itself."""
        found = set()
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and int(folder.name) != self.process.pid:
                with suppress(OSError):  # it has ended, or is somebody else's
                    if self._mark in (folder / "environ").read_bytes().split(b"\0"):
                        found.add(int(folder.name))
        return found

    def strike(self, pid: int, by: signal.Signals) -> bool:
        """Send a signal to it or to one of its processes; returns whether that was still there."""
        if pid == self.process.pid:
            self.process.send_signal(by)  # whose end is not waited for yet, so that it is no other one
            return True
        with suppress(OSError):
            file = os.pidfd_open(pid)
            try:
                if pid in self.processes():  # looked at after it was opened: so it is this one
                    signal.pidfd_send_signal(file, by)
                    return True
            finally:
                os.close(file)
        return False

    def said(self) -> str:
        """What it and its processes have written to stderr."""
        return self.stderr.read_text(encoding="utf-8", errors="replace")

    def end(self) -> int:
        """Its exit code; one that hangs is killed."""
        try:
            return self.process.wait(_HANGS_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class _Torture:
    def __init__(self, part: Part, folder: Path, plan: Sequence[str], epochs: int | None, quick: bool) -> None:
        self._part, self._folder, self._plan, self._wished = part, folder, plan, epochs
        self._wanted, self._seconds = (QUICK_KILLS, QUICK_SECONDS) if quick else (KILLS, SECONDS)
        self._db = folder / "killed.db"
        self._draw = random.Random(0)
        self._started = self._hit = self._behind = self._codes = self._tracebacks = 0
        self._kills: Counter[str] = Counter()

    def run(self) -> None:
        self._make_reference()
        sweep, most = None, self._started + 3 * self._wanted
        while self._kills.total() < self._wanted and self._started < most and self._left() > 0:
            kind = self._kills.total() % len(KINDS)
            early = sweep is None and KINDS[kind] != KINDS[1] and self._draw.random() < _EARLY_SHARE
            sweep = self._strike(sweep or self._start(self._db, self._epochs), kind, early=early)
            say(f"sweeps: {self._kills.total()}/{self._wanted} kills, {_done(self._db)} epochs recorded")
        last = sweep or self._start(self._db, self._epochs)
        if code := last.end():
            self._part.note(f"the sweep that was left alone in the end ended with {code}: {_last(last)}")
            self._codes += 1
        self._tell()

    def _start(self, db: Path, epochs: int) -> Sweep:
        self._started += 1
        return Sweep(self._folder, self._plan, db, epochs, self._started)

    def _make_reference(self) -> None:
        """How many epochs take the time wanted, where that was not said; then the sweep that is left in peace."""
        trial, self._reference = self._folder / "trial.db", self._folder / "reference.db"
        self._in_peace(trial, 1)  # the features are in the cache from now on
        trial.unlink()
        self._epochs = self._wished or self._epochs_that_take(self._seconds, trial)
        start = time.monotonic()
        self._training = self._in_peace(self._reference, self._epochs)
        self._startup = time.monotonic() - start - self._training
        say(f"sweeps: {RUNS} runs of {self._epochs} epochs train for {self._training:.1f} s")

    def _epochs_that_take(self, seconds: float, trial: Path) -> int:
        return max(round(seconds * _TRIAL_EPOCHS / self._in_peace(trial, _TRIAL_EPOCHS)), _TRIAL_EPOCHS)

    def _left(self) -> float:
        """The share of all epochs that is not recorded yet."""
        return 1 - _done(self._db) / (RUNS * self._epochs)

    def _in_peace(self, db: Path, epochs: int) -> float:
        """Sweep to the end; returns the seconds from the first run's start to the last one's end."""
        sweep = self._start(db, epochs)
        if code := sweep.end():
            raise RuntimeError(f"the sweep that was left in peace ended with {code}: {_last(sweep)}")
        query = "SELECT 86400 * (julianday(max(ended_at)) - julianday(min(started_at))) FROM runs"
        return _rows(db, query)[0][0]

    def _strike(self, sweep: Sweep, kind: int, *, early: bool) -> Sweep | None:
        """Send a signal at a random moment; returns the sweep where it goes on."""
        at_worker = KINDS[kind] == KINDS[1]
        if early:
            time.sleep(self._draw.uniform(0, self._startup))
        else:
            while sweep.process.poll() is None and not self._working(sweep):
                time.sleep(_LOOK_SECONDS)
            most = 1.5 * self._left() * self._training / (self._wanted - self._kills.total() + 1)
            time.sleep(self._draw.uniform(0, most))
        while at_worker and sweep.process.poll() is None and not self._working(sweep):
            time.sleep(_LOOK_SECONDS)  # between two runs none of them works on one
        working, pid = self._working(sweep), sweep.process.pid
        if at_worker and working:
            pid = self._draw.choice(sorted(working))
        if sweep.process.poll() is None and (not at_worker or working) and sweep.strike(pid, _SIGNALS[kind]):
            self._kills[KINDS[kind]] += 1
            self._hit += bool(working)
        if at_worker and sweep.process.poll() is None:
            return sweep
        self._look_at_end(sweep, kind, early=early)
        return None

    def _working(self, sweep: Sweep) -> set[int]:
        """The processes of a sweep that work on a run just now."""
        try:
            pids = {row[0] for row in _rows(self._db, _WORKING)}
        except sqlite3.Error:  # it is just being made
            return set()
        return pids & sweep.processes() if pids else set()

    def _look_at_end(self, sweep: Sweep, kind: int, *, early: bool) -> None:
        """What is left of a sweep that was struck, and how it says so."""
        code, until = sweep.end(), time.monotonic() + _GONE_SECONDS
        while (left := sweep.processes()) and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        for pid in left:
            self._behind += 1
            self._part.note(f"{KINDS[kind]} left process {pid} behind; it is killed now")
            sweep.strike(pid, signal.SIGKILL)
        if code != _CODES[kind] and not early:  # before its first line Python has its own ways to end
            self._codes += 1
            self._part.note(f"{KINDS[kind]} ended the sweep with {code}: {_last(sweep)}")
        if "Traceback" in sweep.said() and not early:
            self._tracebacks += 1
            self._part.note(f"{KINDS[kind]}: a traceback that ends with: {_last(sweep)}")

    def _tell(self) -> None:
        part = self._part
        part.told("epochs of each run", self._epochs)
        part.told("seconds of training of the sweep left in peace", round(self._training, 1))
        part.at_least("kills", self._kills.total(), self._wanted)
        for kind in KINDS:
            part.told(f"of these {kind}", self._kills[kind])
        part.at_least("kills while a run was trained", self._hit, self._wanted // 2)
        part.exactly("sweeps that ended otherwise than they should", self._codes, 0)
        part.exactly("sweeps with a traceback", self._tracebacks, 0)
        part.exactly(f"processes left behind {_GONE_SECONDS:g} s after the end of their sweep", self._behind, 0)
        finished = _rows(self._db, "SELECT count(*) FROM runs WHERE status = 'finished'")[0][0]
        twice = _rows(self._db, f"SELECT count(*) FROM (SELECT 1 FROM runs GROUP BY {_RECIPE} HAVING count(*) > 1)")
        sessions = _rows(self._db, "SELECT count(*), coalesce(sum(first_epoch > 1), 0) FROM sessions")[0]
        part.exactly("runs that are finished", finished, RUNS)
        part.exactly("recipes that were trained twice", twice[0][0], 0)
        part.told("sessions of these runs", sessions[0])
        part.told("of these from a checkpoint", sessions[1])
        part.exactly("runs whose epochs, answers or weights differ", self._differences(), 0)
        problems = inspecting.damage(self._db) + [f"run {run} {what}" for run, what in inspecting.findings(self._db)]
        for problem in problems:
            part.note(problem)
        part.exactly("findings of `kws db doctor`", len(problems), 0)

    def _differences(self) -> int:
        """How many recipes' runs are not those of the sweep that was left in peace, to the bit."""
        query, differ = f"SELECT {_RECIPE}, id FROM runs ORDER BY key DESC", 0
        here, there = ({row[:3]: row[3] for row in _rows(db, query)} for db in (self._db, self._reference))
        for recipe, run_id in there.items():
            wanted = inspecting.bits(self._reference, run_id)
            found: dict[str, list[tuple[Any, ...]]] = {}
            if recipe in here:
                found = inspecting.bits(self._db, here[recipe])
            if found != wanted:
                differ += 1
                tables = ", ".join(table for table in wanted if found.get(table) != wanted[table])
                self._part.note(f"{recipe}, run {here.get(recipe)}: other {tables} than run {run_id}")
        return differ


def _rows(db: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query finds; nothing where there is no registry yet."""
    if not db.exists():
        return []
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(query).fetchall()


def _done(db: Path) -> int:
    """How many epochs are recorded."""
    with suppress(sqlite3.Error):
        return sum(row[0] for row in _rows(db, "SELECT count(*) FROM epochs"))
    return 0


def _last(sweep: Sweep) -> str:
    """The last line that a sweep wrote."""
    return next((line for line in reversed(sweep.said().splitlines()) if line.strip()), "it said nothing")[:300]
