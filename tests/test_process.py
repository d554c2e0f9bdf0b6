"""A process is known by its machine, boot, number and start; elsewhere it cannot be seen, and only a silence tells."""

import dataclasses
import getpass
import hashlib
import multiprocessing
import os
import platform
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from kws.registry import process
from kws.registry.process import HEARTBEAT_SECONDS, SILENT_SECONDS, Process, Watch

fork = multiprocessing.get_context("fork")
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


def says_who_it_is(pipe, name: str | None) -> None:
    if name is not None:
        Path("/proc/self/comm").write_text(name)
    pipe.send(Process.here())
    time.sleep(60)


@contextmanager
def another(name: str | None = None):
    """A child that sleeps, and what it says of itself."""
    ours, theirs = fork.Pipe()
    child = fork.Process(target=says_who_it_is, args=(theirs, name))
    child.start()
    try:
        yield child, ours.recv()
    finally:
        child.kill()
        child.join()


def changed(**values: object) -> Process:
    """This process, but for these values."""
    return dataclasses.replace(Process.here(), **values)


def test_this_process_is_alive():
    here = Process.here()
    assert here.pid == os.getpid()
    assert here == Process.here()
    assert here.is_alive() is True


def test_a_child_is_alive_until_it_is_killed_and_waited_for():
    with another() as (child, told):
        assert told.pid == child.pid
        assert (told.host, told.boot) == (Process.here().host, Process.here().boot)
        assert told.is_alive() is True
        child.kill()
        child.join()
        assert told.is_alive() is False


@linux
def test_a_killed_child_that_nobody_has_waited_for_is_gone():
    with another() as (child, told):
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and still has its number
        os.kill(child.pid, 0)
        assert told.is_alive() is False


def test_a_child_that_is_stopped_is_alive():
    with another() as (child, told):
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert told.is_alive() is True


@linux
@pytest.mark.parametrize("name", [") Z 1 2 3", "((", "a b\tc)", "語 🎤"])
def test_a_process_may_have_any_name(name):
    with another(name) as (_, told):
        assert told.started.isdigit()
        assert told.is_alive() is True


def test_the_same_number_with_another_start_is_gone():
    assert changed(started="1").is_alive() is False


@linux
def test_a_number_that_another_process_has_by_now_is_gone():
    assert changed(pid=1, started=process._started(1)).is_alive() is True
    assert changed(pid=1).is_alive() is False


def test_a_process_of_another_user_is_alive_while_its_start_is_the_same(monkeypatch):
    def not_allowed(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", not_allowed)
    assert Process.here().is_alive() is True
    assert changed(started="1").is_alive() is False


def test_a_number_that_no_process_has_is_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert changed(pid=child.pid).is_alive() is False


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"boot": "another"},  # a machine made from the same image, or this one before it was started anew
        {"boot": None},
        {"host": "0123456789abcdef"},  # another machine, or a container with process numbers of its own
        {"host": "0123456789abcdef", "boot": "another", "started": "1"},
        {"host": "0123456789abcdef", "pid": 2**22 - 1},
        {"boot": "another", "pid": 2**22 - 1},
    ],
)
def test_a_process_elsewhere_cannot_be_seen_whatever_has_its_number_here(elsewhere):
    assert changed(**elsewhere).is_alive() is None


@pytest.mark.parametrize("side", ["here", "there"])
def test_where_the_system_does_not_tell_a_start_a_process_that_is_there_cannot_be_told(monkeypatch, side):
    there = changed(started=None) if side == "there" else Process.here()
    if side == "here":
        monkeypatch.setattr(process, "_started", lambda pid: None)
    assert there.is_alive() is None


def test_a_silence_is_watched_by_a_clock_that_nobody_sets(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: pytest.fail("the clock on the wall was asked"))
    watch = Watch()
    assert watch.seconds("a", "1 12:00") == 0  # however old that sign may be
    now[0] += 15
    assert watch.seconds("a", "1 12:00") == 15
    assert watch.seconds("b", "1 12:00") == 0
    now[0] += 20
    assert (watch.seconds("a", "1 11:49"), watch.seconds("b", "1 12:00")) == (0, 20)  # any other sign is one
    now[0] += 5
    assert watch.seconds("a", "1 11:49") == 5
    watch.forget("a")
    assert watch.seconds("a", "1 11:49") == 0


def test_a_silence_does_not_count_while_nobody_could_look(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = Watch()
    for _ in range(3):
        silent = watch.seconds("a", "1 12:00")
        now[0] += 10
    now[0] += 300  # the server is away, and the process cannot give a sign of life either
    assert watch.seconds("a", "1 12:00") == silent + HEARTBEAT_SECONDS < SILENT_SECONDS
    now[0] += 50
    assert watch.seconds("a", "1 12:00", every=50) == silent + HEARTBEAT_SECONDS + 50  # it was meant to be so late


def test_a_process_beats_some_times_before_it_is_taken_to_be_gone_and_may_wait_for_a_lock():
    assert 3 * HEARTBEAT_SECONDS + 30 <= SILENT_SECONDS <= 5 * HEARTBEAT_SECONDS


def test_without_proc_the_start_is_what_ps_says(monkeypatch):
    monkeypatch.setattr(process, "Path", lambda path: Path("/nowhere") / path.lstrip("/"))
    asked = []
    monkeypatch.setattr(process, "_output", lambda *command: asked.append(command) or "Sun Mar  1 12:00:00 2026")
    assert process._started(4321) == "Sun Mar  1 12:00:00 2026"
    assert asked == [("ps", "-o", "lstart=", "-p", "4321")]


def test_a_tool_that_is_not_there_or_fails_tells_nothing():
    assert process._output("no-such-tool-anywhere") is None
    assert process._output(sys.executable, "-c", "print('x'); raise SystemExit(1)") is None
    assert process._output(sys.executable, "-c", "") is None
    assert process._output(sys.executable, "-c", "print(' x ')") == "x"


def test_a_machine_is_named_by_a_hash_that_tells_neither_its_name_nor_its_user():
    host = Process.here().host
    assert re.fullmatch("[0-9a-f]{16}", host)
    for name in (platform.node(), getpass.getuser(), str(Path.home())):
        assert not hashlib.sha256(name.encode()).hexdigest().startswith(host)


def test_another_name_or_another_space_of_process_numbers_is_another_machine(monkeypatch):
    ours = process._host.__wrapped__()
    assert ours == process._host.__wrapped__() == Process.here().host
    with monkeypatch.context() as patched:
        patched.setattr(platform, "node", lambda: "another-machine")
        assert process._host.__wrapped__() != ours
    with monkeypatch.context() as patched:
        patched.setattr(Path, "readlink", lambda path: Path("pid:[1]"))
        assert process._host.__wrapped__() != ours
