"""What a run was made with: told truly, without git too, and without this machine's or its user's name."""

from __future__ import annotations

import platform
import shlex
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

import kws
from kws import environment
from kws.environment import Environment


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository with one commit, whose package is where kws believes itself to be."""
    folder = tmp_path / "a checkout"
    package = folder / "kws"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (folder / "README.md").write_text("")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "First")
    monkeypatch.setattr(environment, "__file__", str(package / "environment.py"))
    return folder


def test_the_versions_are_those_of_this_process():
    here = Environment.here([])
    assert here.kws_version == kws.__version__
    assert here.python_version == ".".join(map(str, sys.version_info[:3]))
    assert here.torch_version == version("torch")
    assert here.platform == f"{platform.system()} {platform.machine()}"
    assert here.cpu


def test_the_command_can_be_typed_again():
    arguments = ["train", "--name", "with 'quotes' and $HOME", "--note", ""]
    assert shlex.split(Environment.here(arguments).command) == ["kws", *arguments]


def test_it_names_neither_the_machine_nor_its_user_nor_its_folders(monkeypatch):
    told = platform.uname()
    here = SimpleNamespace(
        system=told.system, machine=told.machine, processor=told.processor, release=told.release, node="qwertzuiop"
    )
    monkeypatch.setattr(platform, "uname", lambda: here)
    monkeypatch.setattr(socket, "gethostname", lambda: "qwertzuiop")
    for variable in ("USER", "LOGNAME", "HOME"):
        monkeypatch.setenv(variable, "/home/somebody")
    text = repr(Environment.here(["train", "--arch", "fc"]))
    for name in ("qwertzuiop", "somebody", str(Path(kws.__file__).parent)):
        assert name not in text


def test_the_commit_is_the_checkouts(checkout):
    here = Environment.here([])
    assert (here.git_commit, here.git_dirty) == (git(checkout, "rev-parse", "HEAD"), False)


def test_a_changed_file_of_the_package_is_told(checkout):
    (checkout / "kws" / "__init__.py").write_text("changed = True")
    assert Environment.here([]).git_dirty is True


def test_a_new_file_of_the_package_is_told(checkout):
    (checkout / "kws" / "extra.py").write_text("")
    assert Environment.here([]).git_dirty is True


def test_a_changed_file_beside_the_package_does_not_matter(checkout):
    (checkout / "README.md").write_text("changed")
    assert Environment.here([]).git_dirty is False


def test_a_package_that_lies_in_a_checkout_of_something_else_has_no_commit(checkout, monkeypatch):
    installed = checkout / ".venv" / "kws"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(environment, "__file__", str(installed / "environment.py"))
    here = Environment.here([])
    assert (here.git_commit, here.git_dirty) == (None, None)


def test_without_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    here = Environment.here([])
    assert (here.git_commit, here.git_dirty) == (None, None)


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    here = Environment.here([])
    assert (here.git_commit, here.git_dirty) == (None, None)


def test_a_processor_that_the_system_does_not_tell_is_its_architecture(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert environment._cpu() == platform.machine()
