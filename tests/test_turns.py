"""Turns: processes write a file in the order in which they came, and nobody waits for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from at_once import fork

from kws.registry.turns import turn

COUNT = 8
LONG = 60.0

pytestmark = pytest.mark.sqlite_file
only_on_linux = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="no other system tells who stands in line")


@pytest.fixture
def index(tmp_path) -> Path:
    path = tmp_path / "runs.db-shm"
    path.touch()
    return path


def has_a_turn(index: Path, number: int, seconds: float, begun, until, told) -> None:
    """Tell when the turn came, after how long, and keep it until told otherwise."""
    with index.open("rb+") as file:
        begun.set()
        asked = time.monotonic()
        with turn(file.fileno(), seconds):
            told.put((number, time.monotonic() - asked))
            until.wait(LONG)


def stands_in_line(pid: int) -> bool:
    """Whether a process waits for a lock, as far as the system tells."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if line.split()[1] == "->"]
    return any(str(pid) in line for line in waiting)


class Line:
    """Processes that stand in line, each behind those before."""

    def __init__(self, index: Path) -> None:
        self.index, self.told, self.processes = index, fork.SimpleQueue(), []

    def join(self, number: int, until, seconds: float = LONG, *, waits: bool = True):
        begun = fork.Event()
        arguments = (self.index, number, seconds, begun, until, self.told)
        self.processes.append(fork.Process(target=has_a_turn, args=arguments))
        self.processes[-1].start()
        assert begun.wait(LONG)
        longest = time.monotonic() + LONG
        while waits and not stands_in_line(self.processes[-1].pid):
            assert time.monotonic() < longest
            time.sleep(0.01)

    def end(self) -> None:
        for process in self.processes:
            process.join(LONG)
        assert [process.exitcode for process in self.processes] == [0] * len(self.processes)


def is_set():
    event = fork.Event()
    event.set()
    return event


@only_on_linux
def test_who_came_first_has_the_first_turn(index):
    line, first, others = Line(index), fork.Event(), is_set()
    line.join(0, first, waits=False)
    assert line.told.get()[0] == 0
    for number in range(1, COUNT):
        line.join(number, others)
    first.set()
    line.end()
    assert [line.told.get()[0] for _ in range(1, COUNT)] == list(range(1, COUNT))


@only_on_linux
def test_who_has_waited_for_too_long_goes_on_and_does_not_keep_others_waiting(index):
    line, first, second = Line(index), fork.Event(), fork.Event()
    line.join(0, first, waits=False)
    assert line.told.get()[0] == 0
    line.join(1, second, seconds=3.0)
    number, waited = line.told.get()
    assert (number, waited >= 3.0) == (1, True)
    first.set()
    line.join(2, is_set(), waits=False)
    assert line.told.get()[0] == 2  # though the second process is still at what it wanted its turn for
    second.set()
    line.end()


@only_on_linux
def test_the_turn_of_a_process_that_was_killed_goes_to_the_next(index):
    line, never = Line(index), fork.Event()
    line.join(0, never, waits=False)
    assert line.told.get()[0] == 0
    line.join(1, is_set())
    line.processes.pop(0).kill()
    line.end()
    assert line.told.get()[0] == 1


def test_without_an_index_nobody_waits():
    with turn(None, LONG):
        pass
