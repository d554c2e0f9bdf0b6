"""A registry in a folder that git keeps, and another one, for tests of what happens where that comes to its path."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ledger import make_recipe, make_registry

from kws.registry import binding


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    """Less time to be sure in."""
    monkeypatch.setattr(binding, "SURE_SECONDS", 0.1)
    monkeypatch.setattr(binding, "_AGAIN_SECONDS", 0.02)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with another registry, and one that git keeps: each test has a copy of it."""
    made = tmp_path_factory.mktemp("made")
    make_registry(made / "other.db", [make_recipe(seed=50)])
    (made / "folder").mkdir()
    make_registry(made / "folder" / "experiments.db", [make_recipe(seed=0)])
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "experiments.db"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=made / "folder", check=True)
    return made


@pytest.fixture
def other(tmp_path, made) -> Path:
    """Another registry, with a finished run of seed 50."""
    return Path(shutil.copy(made / "other.db", tmp_path))


@pytest.fixture
def place(tmp_path, made) -> Path:
    """A registry in a folder that git keeps, with a finished run of seed 0; beside it a copy of it."""
    db = shutil.copytree(made / "folder", tmp_path / "folder") / "experiments.db"
    shutil.copy(db, db.with_name("before.db"))
    return db
