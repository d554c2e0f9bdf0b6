"""What happens to a registry's file while others use it: see tests.stress.replaced."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
_TORN = """
SELECT id FROM trainings WHERE epochs_done != (SELECT count(*) FROM epochs WHERE run_key = key)
"""  # a copy whose pages are of different times may be a database still
_ENDED = "SELECT ended_at FROM trainings WHERE id = :id AND status = 'finished'"


@dataclass
class Place:
    """A registry at a path: `db` is its name for all commands, `file` what that led to at first."""

    folder: Path
    db: Path
    file: Path
    base: Path
    other: Path
    draw: random.Random
    story: list[str] = field(default_factory=list)  # what has happened
    kept: list[tuple[Path, Path, float]] = field(default_factory=list)  # the file before an event, twice, and when

    def keep(self) -> None:
        """Keep what the path leads to: the file itself by another name, and a copy of it with its log."""
        real = os.path.realpath(self.db)
        link, copy = (self.folder / f"{kind}-{len(self.kept)}.db" for kind in ("witness", "copied"))
        with suppress(OSError):
            os.link(real, link)
        with suppress(OSError):
            for _ in range(20):  # until nobody has written meanwhile
                before = _written(real)
                shutil.copy(real, copy)
                with suppress(FileNotFoundError):
                    shutil.copy(f"{real}-wal", f"{copy}-wal")
                if _written(real) == before:
                    break
        self.kept.append((link, copy, time.time()))

    def ended_before(self, run_id: str) -> bool:
        """Whether a run had ended before the file was taken from the path."""
        for link, copy, moment in self.kept:
            for uri in (f"{link.as_uri()}?mode=ro&immutable=1", f"{copy.as_uri()}?mode=rw"):
                with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as file:
                    for (ended,) in file.execute(_ENDED, {"id": run_id}):
                        if datetime.fromisoformat(ended).timestamp() <= moment:
                            return True
        return False


def _written(file: str) -> list[int]:
    """When the file and its log were written last."""
    return [Path(each).stat().st_mtime_ns for each in (file, f"{file}-wal") if Path(each).exists()]


def _remove(place: Place) -> None:
    place.file.unlink(missing_ok=True)


def _move_away(place: Place) -> None:
    with suppress(OSError):
        place.file.rename(place.folder / f"elsewhere-{len(place.kept)}.db")


def _replace(place: Place, content: Path) -> None:
    new = place.folder / "incoming"
    (shutil.copy2 if place.draw.random() < 0.5 else shutil.copy)(content, new)
    new.replace(place.file)


def _whole_copy(place: Place) -> Path:
    """A copy of the file alone that is a database: one made while a checkpoint writes would be of no use to anybody."""
    copy = place.folder / "its-copy"
    for _ in range(100):
        shutil.copy(place.file, copy)
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True)) as file,
        ):
            if file.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and not file.execute(_TORN).fetchall():
                return copy
        time.sleep(0.01)
    return place.base


def _write_over(place: Place, content: Path) -> None:
    with place.file.open("r+b" if place.file.exists() else "w+b") as file:
        file.truncate(0)
        file.write(content.read_bytes())


def _restore_by_git(place: Place) -> None:
    subprocess.run([*GIT, "checkout", "-q", "--", place.file.name], cwd=place.file.parent, check=True)


def _lead_elsewhere(place: Place) -> None:
    link = place.folder / "link"
    link.symlink_to(shutil.copy(place.other, place.folder / "second.db"))
    if place.db == place.file:
        place.file.unlink(missing_ok=True)
    link.replace(place.db)


EVENTS: dict[str, Callable[[Place], None]] = {
    "removed": _remove,
    "moved away": _move_away,
    "replaced by another": lambda place: _replace(place, place.other),
    "replaced by its copy": lambda place: _replace(place, _whole_copy(place) if place.file.exists() else place.base),
    "replaced by what it was": lambda place: _replace(place, place.base),
    "restored by git": _restore_by_git,
    "written over by another": lambda place: _write_over(place, place.other),
    "written over by what it was": lambda place: _write_over(place, place.base),
    "led elsewhere by a link": _lead_elsewhere,
    "copied": lambda place: place.file.exists() and shutil.copy(place.file, place.folder / "copy.db"),  # type: ignore[dict-item,return-value]
}
IN_PLACE = {"written over by another", "written over by what it was"}
