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
from kws.registry import environment
from kws.registry.environment import Environment


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


def test_gits_own_variables_do_not_make_another_repositorys_commit_ours(checkout, tmp_path, monkeypatch):
    git(tmp_path, "init", "--quiet", "other")
    git(tmp_path / "other", "commit", "--quiet", "--allow-empty", "--message", "Another")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    told = Environment.here([]).git_commit
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name)
    assert told == git(checkout, "rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("cpuinfo", "told"),
    [
        (
            "model name\t: A\nflags\t\t: fpu sse4_2 fma avx avx2 avx512f amx_bf16 lm\n",
            "amx_bf16 avx avx2 avx512f fma sse4_2",
        ),
        ("Features\t: fp asimd sve bf16 crc32\n", "asimd bf16 sve"),
        ("model name\t: A\n", None),
    ],
)
def test_the_processors_vector_extensions_are_told(monkeypatch, cpuinfo, told):
    monkeypatch.setattr(environment.Path, "read_text", lambda *_, **__: cpuinfo)
    assert environment._instruction_set() == told
