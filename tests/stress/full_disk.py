"""Inside the mount namespace: `python -m tests.stress.full_disk FOLDER ANSWER POINTS`, see tests.stress.disk.

A tmpfs holds a registry with two finished runs. How much space a run needs is measured first, once with checkpoints
every 50 ms and once with none, where the write-ahead log only grows. At each point so much of it is left free that the
disk is full at the start, in the first epochs, at checkpoints or at the end; where the run then finds room enough (a
checkpoint more or less decides), less is left and it is tried again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.stress import inspecting
from tests.stress.common import say
from tests.stress.trainer import Trainer, Training, summary

EPOCHS = 30
_DISK_MEGABYTES = 64
_RECIPE = ["train", "--arch", "cnn", "--maps", "2,1", "--opt", "adam", "--batch-size", "16", "--threads", "1"]
_MODES = {"checkpoints": 0.05, "no checkpoints": 1e9}  # seconds between two
# What is left free: kilobytes, or a share of what the whole run needs.
_LEFT: list[tuple[str, int | float]] = [
    ("checkpoints", 0), ("no checkpoints", 0.4), ("no checkpoints", 0.97), ("checkpoints", 0.3),
    ("no checkpoints", 44),
    ("no checkpoints", 4), ("checkpoints", 16), ("no checkpoints", 32), ("checkpoints", 40), ("no checkpoints", 60),
    ("checkpoints", 80), ("no checkpoints", 100), ("no checkpoints", 0.6), ("no checkpoints", 0.8),
    ("no checkpoints", 0.9), ("checkpoints", 0.1), ("checkpoints", 0.2), ("checkpoints", 0.45), ("checkpoints", 0.6),
    ("checkpoints", 0.8),
]  # fmt: skip


def main() -> None:
    """Mount the disk, torture, and write the results."""
    folder, answer, points = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MEGABYTES}m", "tmpfs", disk], check=True)
    with Trainer(folder) as trainer:
        results = _Torture(trainer, disk).run(points)
    answer.write_text(json.dumps(results), encoding="utf-8")


class _Torture:
    def __init__(self, trainer: Trainer, disk: Path) -> None:
        self._trainer, self._disk = trainer, disk
        self._db, self._base = disk / "full.db", trainer.folder / "base.db"
        self._command = [*_RECIPE, "--epochs", str(EPOCHS), "--data", trainer.folder / "task", "--db", self._db]

    def run(self, points: int) -> list[dict[str, Any]]:
        """What happened at each point."""
        for seed in (1, 2):
            epochs = ["--seed", str(seed), "--epochs", "5", "--data", self._trainer.folder / "task"]
            self._trainer.must(*_RECIPE, *epochs, "--db", self._base)
        earlier = list(inspecting.statuses(self._base))
        self._earlier = {run_id: inspecting.rows(self._base, run_id) for run_id in earlier}
        needs = {mode: self._measure(seconds) for mode, seconds in _MODES.items()}
        say(f"disk: a run needs {needs['checkpoints']} kB with checkpoints, {needs['no checkpoints']} kB without")
        results = []
        for number, (mode, left) in enumerate(_LEFT[:points], start=1):
            kilobytes = left if isinstance(left, int) else round(left * needs[mode])
            result = self._point(mode, kilobytes)
            while result["code"] == 0 and kilobytes > 4:
                kilobytes = round(kilobytes * 0.85)
                result = self._point(mode, kilobytes)
            results.append(result)
            say(f"disk: {number}/{points}: {kilobytes} kB left, {mode}: full at its {result['stage']}")
        return results

    def _measure(self, seconds: float) -> int:
        """The kilobytes that a run takes at most while it is trained; keeps its bits."""
        self._lay_out()
        before = most = _free(self._disk)
        training = self._trainer.start(*self._command, checkpoint_seconds=seconds)
        while training.wait(0.0) is None:
            most = min(most, _free(self._disk))
            time.sleep(0.001)
        if training.wait():
            raise RuntimeError(f"a run with space enough failed: {summary(training)}")
        (run_id,) = set(inspecting.statuses(self._db)) - set(self._earlier)
        self._bits = inspecting.bits(self._db, run_id)
        return (before - most) // 1024

    def _point(self, mode: str, kilobytes: int) -> dict[str, Any]:
        """Train with so much space, then look, with space again, at what is there."""
        self._lay_out()
        filler = self._disk / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _free(self._disk) - kilobytes * 1024)
        training = self._trainer.run(*self._command, checkpoint_seconds=_MODES[mode])
        filler.unlink()
        code, problems = training.end(), []
        text = "\n".join(training.said())
        sentences = [line for line in training.said() if line.startswith("kws: ")]
        said = code == 1 and len(sentences) == 1 and "disk is full" in sentences[0]
        traceback = "Traceback" in text
        if code < 0:
            problems.append(f"the process was killed by signal {-code}")
        elif not said or traceback:
            problems.append(f"it ended with {code} and said: {summary(training)}")
        return {
            "mode": mode,
            "left": kilobytes,
            "code": code,
            "said": said,
            "traceback": traceback,
            "sentences": sentences,
            **self._look(training, problems),
            "problems": problems,
        }

    def _look(self, training: Training, problems: list[str]) -> dict[str, Any]:
        damage = inspecting.damage(self._db)
        problems += [f"the file is damaged: {line}" for line in damage[:3]]
        unchanged = not damage and all(inspecting.rows(self._db, run) == rows for run, rows in self._earlier.items())
        if not unchanged:
            problems.append("the earlier runs are not as they were")
        listed = self._trainer.run("runs", "list", "--db", self._db)
        if listed.end():
            problems.append(f"`kws runs list` said: {summary(listed)}")
        new = set() if damage else set(inspecting.statuses(self._db)) - set(self._earlier)
        found = {"intact": not damage, "unchanged": unchanged, "listed": not listed.end(), "begun": bool(new)}
        if not new:
            return found | {"stage": "start", "status": None, "resumed": None, "same": None}
        run_id = new.pop()
        status, epochs = inspecting.statuses(self._db)[run_id], len(inspecting.bits(self._db, run_id)["epochs"])
        stage = "first epochs" if epochs <= 3 else "end" if epochs == EPOCHS else "later epochs"
        if training.end() == 0:
            return found | {"stage": "not at all", "status": status, "resumed": None, "same": None}
        shown = [line for line in training.said() if line.startswith("epoch ")]
        if len(shown) > epochs:
            problems.append(f"{len(shown)} epochs were shown and {epochs} are kept")
        again = self._trainer.run("train", "--resume", run_id, "--db", self._db)
        resumed = not again.end() and inspecting.statuses(self._db)[run_id] == "finished"
        if not resumed:
            problems.append(f"it could not be resumed: {summary(again)}")
        same = resumed and inspecting.bits(self._db, run_id) == self._bits
        if resumed and not same:
            problems.append("the run that was resumed is not the same to the bit")
        problems += [f"run {run or ''} {problem}" for run, problem in inspecting.findings(self._db)]
        return found | {"stage": stage, "status": status, "epochs": epochs, "resumed": resumed, "same": same}

    def _lay_out(self) -> None:
        """A disk with nothing on it but the registry with the earlier runs."""
        for item in self._disk.iterdir():
            item.unlink()
        shutil.copyfile(self._base, self._db)


def _free(disk: Path) -> int:
    about = os.statvfs(disk)
    return about.f_bavail * about.f_frsize


if __name__ == "__main__":
    main()
