"""A registry that git tracks: who records the first run in it is told."""

import subprocess
from pathlib import Path

import pytest

from kws.registry import location, tracked


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "experiments.db").write_bytes(b"as it came")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        names = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", folder, *names, *command], check=True)
    return folder


def test_the_first_run_in_a_tracked_registry_is_announced(checkout):
    told = tracked.note(checkout / "experiments.db")
    assert "git tracks" in told
    assert f"git restore {checkout / 'experiments.db'}" in told
    assert "--db FILE" in told


def test_later_runs_are_not(checkout):
    (checkout / "experiments.db").write_bytes(b"with a run in it")
    assert tracked.note(checkout / "experiments.db") is None


def test_nothing_is_said_of_a_registry_that_git_does_not_track(checkout, tmp_path):
    (checkout / "mine.db").write_bytes(b"mine")
    (tmp_path / "elsewhere.db").write_bytes(b"mine")
    assert tracked.note(checkout / "mine.db") is None
    assert tracked.note(tmp_path / "elsewhere.db") is None
    assert tracked.note(checkout / "new.db") is None


def test_nor_of_a_server():
    assert tracked.note(location.locate("postgresql+psycopg://me@host/kws")) is None


def test_the_repository_is_that_of_the_file(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert tracked.note(checkout / "experiments.db")


def test_a_path_with_a_blank_is_quoted(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    folder = checkout / "a b"
    folder.mkdir()
    (folder / "r.db").write_bytes(b"r")
    subprocess.run(["git", "add", "."], check=True)
    assert "git restore 'a b/r.db'" in tracked.note(Path("a b/r.db"))
