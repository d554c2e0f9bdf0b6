"""How another file comes to be at a registry's path while a run is recorded there, and what the run does then."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ledger import WEIGHTS, make_card, make_epochs, make_evaluation

from kws.registry.runs import INTERRUPTED

CARD = make_card()


def is_removed(db: Path, other: Path) -> None:
    db.unlink(missing_ok=True)


def is_moved_away(db: Path, other: Path) -> None:
    db.rename(db.with_name("elsewhere.db"))


def is_replaced(db: Path, other: Path) -> None:
    other.replace(db)


def is_replaced_by_its_copy(db: Path, other: Path) -> None:
    Path(shutil.copy(db, "copied")).replace(db)


def is_restored_by_git(db: Path, other: Path) -> None:
    subprocess.run(["git", "checkout", "--quiet", "--", db.name], cwd=db.parent, check=True)


def is_written_over(db: Path, other: Path) -> None:
    with db.open("r+b") as file:
        file.truncate(0)
        file.write(other.read_bytes())


def is_written_over_by_what_it_was(db: Path, other: Path) -> None:
    with db.open("r+b") as file:
        file.truncate(0)
        file.write(db.with_name("before.db").read_bytes())


def and_its_folder_are_moved(db: Path, other: Path) -> None:
    db.parent.rename(db.parent.with_name("moved"))


WAYS = [
    is_removed,
    is_moved_away,
    is_replaced,
    is_replaced_by_its_copy,
    is_restored_by_git,
    is_written_over,
    is_written_over_by_what_it_was,
    and_its_folder_are_moved,
]


def records(registry, run_id: str) -> None:
    registry.record(run_id, make_epochs(3)[2])


def finishes(registry, run_id: str) -> None:
    registry.finish(run_id, make_evaluation(CARD), CARD, WEIGHTS)


def is_interrupted(registry, run_id: str) -> None:
    registry.end(run_id, INTERRUPTED)


def beats(registry, run_id: str) -> None:
    registry.beat(run_id)
