"""Files with networks of a user's own, a task to train them on, and what they did when they ran."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from commands import ok_json
from sounds import write_task

from kws.recipe import own

NET = '''"""Bands: the mean over time of each band, {about}."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Config:
    width: int = 3
    drop: float = 0.25
    bias: bool = True
    mode: str = "mean"
    steps: tuple[int, ...] = (1, 2)
    shares: tuple[float, ...] = (0.5,)


class Network(nn.Module):
    def __init__(self, classes, config):
        super().__init__()
        self.hidden = nn.Linear(40, config.width, bias=config.bias)
        self.drop = nn.Dropout(config.drop)
        self.last = nn.Linear(config.width, classes)

    def forward(self, features):
        return self.last(self.drop(torch.relu(self.hidden(features.mean(1)))))
'''
PLAIN = """from torch import nn


class Network(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(4040, classes))
"""
MARK = "from pathlib import Path\n\nPath({mark!r}).open('a').write('ran ')\n"
TRAIN = ["train", "--opt", "adam", "--batch-size", "16", "--threads", "1", "--epochs", "1", "--arch"]


@pytest.fixture(autouse=True)
def nothing_is_trusted():
    yield
    own.forget()


@pytest.fixture(name="cache", scope="module")
def a_cache(tmp_path_factory):
    """A task, and the cache that all of this module's commands share."""
    folder = tmp_path_factory.mktemp("own")
    write_task(folder / "task")
    return folder


@pytest.fixture(name="task")
def a_task(cache, monkeypatch) -> Path:
    monkeypatch.setenv("KWS_CACHE", str(cache / "cache"))
    monkeypatch.setenv("KWS_DATA", str(cache / "task"))
    return cache / "task"


def write(path: str, source: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(source, encoding="utf-8")
    return path


def sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


@pytest.fixture(name="net")
def a_net(task) -> str:
    """A file that says so, in `ran`, whenever it runs."""
    return write("net.py", NET.format(about="with a mark") + "\n\n" + MARK.format(mark=str(Path("ran").absolute())))


def times_run() -> int:
    return Path("ran").read_text().count("ran") if Path("ran").exists() else 0


@pytest.fixture(name="run")
def a_run(net) -> dict:
    """A run of that file, which is no longer there, in a registry from elsewhere; what it did is forgotten."""
    made = ok_json(*TRAIN, net, "--set", "width=5")
    made["sha256"] = sha256(Path(net).read_text())
    Path(net).unlink()
    Path("ran").unlink()
    return made
