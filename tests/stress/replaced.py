"""Registries that are removed, moved, replaced, restored by git, copied, linked and written over while others use them.

A schedule is drawn at random: who works with a registry (one or two trainings, a sweep, `kws watch`, `kws ui`, a watch
on a read-only mount where such can be made), what happens to its file and when, and what is done next. In the end:

- No run is told as finished that is not in the file at the path. What happened only after a run had ended does not
  count: the file that was there before is kept by another name, to tell.
- No row of two files is mixed: SQLite's integrity check and `kws db doctor` find nothing, and every run is row by row
  what it is in the one registry that it is from.
- No epoch that was said is lost: it is in the file at the path, where that was moved to, or in the file that the
  command named.
- A log that is not the file's own is refused in a sentence, and nothing ends with a traceback.

A file is not written over in the midst of a checkpoint, which writes into it as well: what came of that would be of
both, whatever kws did.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws.registry.wal import is_being_written
from tests.stress import inspecting
from tests.stress.common import REPOSITORY, Part, environment, say, workspace, write_small_task
from tests.stress.replacing import EVENTS, GIT, IN_PLACE, Place
from tests.stress.trainer import Trainer, Training, summary

RECIPE = ["train", "--arch", "cnn", "--maps", "2,1", "--opt", "adam", "--learning-rate", "1e-5"]
RECIPE += ["--batch-size", "16", "--threads", "1"]
SCHEDULES, QUICK_SCHEDULES = 200, 6
EPOCHS = 60
_LINE = re.compile(r"epoch +(\d+)/\d+  train/val loss (\S+  accuracy \S+) %.* left")
_FINISHED = re.compile(r"(?:\d+/\d+ )?run ([a-z]{8})(?: \(.*?\))? finished")
_KEPT = re.compile(r"(?:kept in|--db) (\S+\.db)")
_REFUSED = re.compile(r"-wal is not of this|still has the registry open that was at")
_PATIENCE = 120.0


@dataclass
class _Tally:
    events: Counter[str] = field(default_factory=Counter)
    users: Counter[str] = field(default_factory=Counter)
    while_training: int = 0
    finished: int = 0
    failed: int = 0
    kept: int = 0
    refused: int = 0
    waited: int = 0
    seen_on_mounts: int = 0
    untrue: int = 0
    mixed: int = 0
    lost: int = 0
    tracebacks: int = 0
    hanging: int = 0


def run(quick: bool) -> Part:
    """Draw schedules and let them happen; returns the figures."""
    part = Part(name="replaced")
    with workspace("replaced") as folder:
        write_small_task(folder / "task")
        with Trainer(folder) as trainer:
            torture = _Torture(part, trainer)
            for number in range(1, (wanted := QUICK_SCHEDULES if quick else SCHEDULES) + 1):
                torture.schedule(number)
                if number % 10 == 0 or number == wanted:
                    say(f"replaced: {number}/{wanted} schedules, {torture.tally.kept} runs kept elsewhere")
            torture.tell(wanted)
    return part


class _Torture:
    def __init__(self, part: Part, trainer: Trainer) -> None:
        self._part, self._trainer, self.tally = part, trainer, _Tally()
        self._base, self._other = trainer.folder / "base.db", trainer.folder / "other.db"
        for db, seeds in ((self._base, (100, 101)), (self._other, (200, 201, 202))):
            for seed in seeds:
                trainer.must(*self._recipe(db, seed, 3))
        self._rows = {
            db: {run_id: inspecting.rows(db, run_id) for run_id in inspecting.statuses(db)}
            for db in (self._base, self._other)
        }
        started = time.monotonic()
        trainer.must(*self._recipe(trainer.folder / "trial.db", 0, EPOCHS))
        self._whole = time.monotonic() - started
        unshare = shutil.which("unshare")
        self._can_mount = bool(unshare) and not subprocess.run([unshare, "-m", "true"], capture_output=True).returncode

    def _recipe(self, db: Path, seed: int, epochs: int) -> list[str | Path]:
        data: list[str | Path] = ["--data", self._trainer.folder / "task"]
        return [*RECIPE, *data, "--seed", str(seed), "--epochs", str(epochs), "--db", db]

    def schedule(self, number: int) -> None:
        """One schedule, from its registry to the look at what became of it."""
        draw = random.Random(number)
        place = self._make_place(number, draw)
        trainings = [self._trainer.start(*self._recipe(place.db, 1 + i, EPOCHS)) for i in range(draw.choice((1, 1, 2)))]
        others = self._start_others(place, draw)
        self.tally.users["training"] += len(trainings)
        kill = draw.random() < 0.15
        for i in range(draw.choice((1, 1, 1, 2))):
            self._wait(draw.uniform(0.3 if i == 0 else 0.0, 1.05) * self._whole / (i + 1))
            name = draw.choice(list(EVENTS))
            if kill and i == 0:
                for training in trainings:
                    training.kill()
                    training.wait()
                name = draw.choice(("restored by git", "replaced by another", "replaced by what it was"))
            self._happen(place, name, trainings, draw, killed=kill and i == 0)
            if draw.random() < 0.3:
                place.story.append("another training begun")
                trainings.append(self._trainer.start(*self._recipe(place.db, 11 + i, 5)))
        for training in trainings:
            if training.wait(_PATIENCE) is None:
                self.tally.hanging += 1
                training.kill()
                training.wait()
        self._end_others(others)
        self._look(number, place, trainings, others)
        shutil.rmtree(place.folder)

    def _make_place(self, number: int, draw: random.Random) -> Place:
        folder = self._trainer.folder / f"schedule-{number}"
        real = folder / "real"
        real.mkdir(parents=True)
        file = real / "runs.db"
        shutil.copy(self._base, file)
        for command in (["init", "-q"], ["add", file.name], ["commit", "-q", "-m", "x"]):
            subprocess.run([*GIT, *command], cwd=real, check=True, capture_output=True)
        db = file
        if draw.random() < 0.3:
            db = folder / "runs.db"
            db.symlink_to(file)
        return Place(folder, db, file, self._base, self._other, draw)

    def _start_others(self, place: Place, draw: random.Random) -> dict[str, Any]:
        """Who looks on, and now and then a sweep, as processes by what they are."""
        found: dict[str, Any] = {}
        if draw.random() < 0.5:
            found["watch"] = self._trainer.start("watch", "--db", place.db)
        if draw.random() < 0.25:
            found["ui"] = self._trainer.start("ui", "--port", "0", "--db", place.db)
        commands = {}
        if draw.random() < 0.1:
            sweep = ["sweep", "--arch", "cnn", "--maps", "2,1", "--opt", "sgd,adam", "--seeds", "2", "--jobs", "2"]
            sweep += ["--batch-size", "16", "--epochs", "40", "--data", str(self._trainer.folder / "task")]
            commands["sweep"] = [sys.executable, "-m", "kws", *sweep, "--db", str(place.db)]
        if self._can_mount and draw.random() < 0.15:
            (place.folder / "mount").mkdir()
            script = 'mount --bind "$1" "$2" && mount -o remount,ro,bind "$2" && '
            script += 'exec "$3" -m kws watch --db "$2/runs.db"'
            where = [str(place.file.parent), str(place.folder / "mount"), sys.executable]
            commands["mount"] = ["unshare", "-m", "sh", "-c", script, "sh", *where]
        for name, command in commands.items():
            about = environment(KWS_CACHE=str(self._trainer.folder / "cache"), HOME=str(place.folder))
            with (place.folder / f"{name}.err").open("wb") as err, (place.folder / f"{name}.out").open("wb") as out:
                found[name] = subprocess.Popen(command, stdout=out, stderr=err, env=about, cwd=REPOSITORY)
        self.tally.users.update(found.keys())
        return found

    def _happen(self, place: Place, name: str, trainings: list[Training], draw: random.Random, *, killed: bool) -> None:
        """Let an event happen; for half of them, and all that are not done at once, those that train stand still."""
        self.tally.events[name] += 1
        place.story.append(f"{name}{', the training killed' if killed else ''}")
        stand = [t for t in trainings if t.wait(0.0) is None] if name in IN_PLACE or draw.random() < 0.5 else []
        self.tally.while_training += any(t.wait(0.0) is None for t in trainings)
        self._stop(stand, place, between_checkpoints=name in IN_PLACE)
        try:
            place.keep()
            EVENTS[name](place)
        finally:
            _signal(stand, signal.SIGCONT)

    def _stop(self, stand: list[Training], place: Place, *, between_checkpoints: bool) -> None:
        for _ in range(1_000):
            _signal(stand, signal.SIGSTOP)
            while any(_is_running(training.pid) for training in stand):
                time.sleep(0.001)
            with suppress(OSError):
                if between_checkpoints and stand and is_being_written(Path(os.path.realpath(place.db))):
                    self.tally.waited += 1
                    _signal(stand, signal.SIGCONT)
                    time.sleep(0.02)
                    continue
            return

    def _end_others(self, others: dict[str, Any]) -> None:
        for name, process in others.items():
            if name == "sweep":
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_PATIENCE)
            if isinstance(process, Training):
                if process.wait(1.0) is None:
                    os.kill(process.pid, signal.SIGINT)
                if process.wait(_PATIENCE) is None:
                    self.tally.hanging += 1
                    process.kill()
                    process.wait()
                continue
            time.sleep(1.0 if name == "mount" else 0.0)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.tally.hanging += 1
                process.kill()
                process.wait()

    def _wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def _look(self, number: int, place: Place, trainings: list[Training], others: dict[str, Any]) -> None:
        """Hold what is there in the end to what was said."""
        said = {training: training.said() for training in trainings}
        texts = ["\n".join(lines) for lines in said.values()]
        for name, process in others.items():
            if isinstance(process, Training):
                texts.append(process.stderr.read_text() + process.stdout.read_text())
            else:
                texts.append("".join((place.folder / f"{name}.{stream}").read_text() for stream in ("out", "err")))
                self.tally.seen_on_mounts += name == "mount" and "epoch" in texts[-1]
        self.tally.tracebacks += sum("Traceback" in text for text in texts)
        for text in texts:
            if "Traceback" in text:
                self._note(number, place, f"{text[text.index('Traceback') :][:2_000]}")
        there = self._readable(number, place)
        for text in [*texts[: len(trainings)], *([texts[-1]] if "sweep" in others else [])]:
            for run_id in _FINISHED.findall(text):
                self.tally.finished += 1
                if there.get(run_id) != "finished" and not place.ended_before(run_id):
                    self.tally.untrue += 1
                    self._note(number, place, f"run {run_id} is told as finished and is {there.get(run_id)}")
        for training, lines in said.items():
            self._look_at_epochs(number, place, training, lines)

    def _readable(self, number: int, place: Place) -> dict[str, str]:
        """The runs at the path by their status, after each file was held to where its runs are from."""
        from kws.errors import RegistryError

        files = [place.db, *place.folder.glob("elsewhere-*.db"), *place.folder.glob("**/runs.*.db")]
        for file in filter(Path.exists, files):
            try:
                inspecting.statuses(file)
            except RegistryError as error:
                if not _REFUSED.search(str(error)):
                    self.tally.mixed += 1
                    self._note(number, place, f"{file.name} cannot be read: {error}")
                    continue
                self.tally.refused += 1
                real = os.path.realpath(file)
                Path(f"{real}-wal").rename(f"{real}-wal.old")  # as the sentence says
            self._look_at_rows(number, place, file)
        with suppress(RegistryError):
            return inspecting.statuses(place.db)
        return {}

    def _note(self, number: int, place: Place, sentence: str) -> None:
        self._part.note(f"schedule {number} ({', '.join(place.story)}): {sentence}")

    def _look_at_rows(self, number: int, place: Place, file: Path) -> None:
        if not file.stat().st_size:
            return
        if found := inspecting.damage(file):
            self.tally.mixed += 1
            self._note(number, place, f"{file.name} is damaged: {found[0]}")
            return
        ids = set(inspecting.statuses(file))
        for run_id, problem in inspecting.findings(file):
            if not problem.startswith("is lost"):
                self.tally.mixed += 1
                self._note(number, place, f"{file.name}: run {run_id} {problem}")
        known = [rows for rows in self._rows.values() if rows.keys() & ids]
        whole = all(rows.keys() <= ids for rows in known)
        if len(known) > 1 or not whole:
            self.tally.mixed += 1
            self._note(number, place, f"{file.name} has some of the runs of {len(known)} registries")
        for rows in known:
            for run_id, wanted in rows.items():
                if run_id in ids and inspecting.rows(file, run_id) != wanted:
                    self.tally.mixed += 1
                    self._note(number, place, f"{file.name}: run {run_id} is not what it was")

    def _look_at_epochs(self, number: int, place: Place, training: Training, lines: list[str]) -> None:
        """Whether every epoch that was said is somewhere whole."""
        code, text = training.wait(), "\n".join(lines)
        epochs = {int(match[1]): match[2] for line in lines if (match := _LINE.fullmatch(line))}
        if code == 1:
            self.tally.failed += 1
            named = [Path(name) for name in _KEPT.findall(text)]
            if epochs and not any(each.exists() for each in named):
                self.tally.lost += 1
                self._note(number, place, f"a run failed and is kept nowhere: {summary(training)}")
                return
            self.tally.kept += bool(epochs)
        run_ids = re.findall(r"run ([a-z]{8})", text)
        if not epochs or not run_ids or code not in (0, 1):
            return
        if code == 0 and place.ended_before(run_ids[0]):
            return
        files = [place.db, *place.folder.glob("**/runs.*.db")]
        for file in filter(Path.exists, files):
            with suppress(sqlite3.Error):
                shown = inspecting.epochs_shown(file, run_ids[0])
                if all(shown.get(epoch) == figures for epoch, figures in epochs.items()):
                    return
        self.tally.lost += 1
        self._note(number, place, f"epochs of run {run_ids[0]} are in no file: {summary(training)}")

    def tell(self, schedules: int) -> None:
        """The figures."""
        part, tally = self._part, self.tally
        part.exactly("schedules", schedules, schedules)
        for name, count in (*tally.users.most_common(), *sorted(tally.events.items())):
            part.told(f"processes of {name} in these" if name in tally.users else f"times that it was {name}", count)
        part.at_least("events while a run was trained", tally.while_training, schedules // 3)
        part.told("runs told as finished", tally.finished)
        part.exactly("of these not in the file at the path", tally.untrue, 0)
        part.told("commands that failed, for it was another file", tally.failed)
        part.at_least("runs of these kept in a file beside it", tally.kept, schedules // 12)
        part.exactly("runs of which an epoch that was shown is lost", tally.lost, 0)
        part.exactly("files or rows that are mixed", tally.mixed, 0)
        part.told("logs of another file, refused", tally.refused)
        part.told("times that a checkpoint's end was awaited, for the file to be written over", tally.waited)
        part.told("runs seen on a read-only mount", tally.seen_on_mounts)
        part.exactly("tracebacks", tally.tracebacks, 0)
        part.exactly("processes that hang", tally.hanging, 0)


def _signal(trainings: list[Training], number: signal.Signals) -> None:
    for training in trainings:
        with suppress(ProcessLookupError):
            os.kill(training.pid, number)


def _is_running(pid: int) -> bool:
    """Whether a process has neither ended nor been stopped."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TtZX"
    return False
