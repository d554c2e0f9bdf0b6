"""`kws watch`: what fits on a terminal, what a pipe gets, and how it ends; a real training is watched in a terminal."""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import TRAIN, kws, ok, refused, sql
from ledger import (
    WEIGHTS,
    make_card,
    make_epochs,
    make_evaluation,
    make_recipe,
    make_registry,
    make_run,
    read_back,
    start,
    train,
)
from patience import Patience
from rich.console import Console
from rich.style import Style
from sounds import write_task

from kws.registry.polling import Followed, Session
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.registry.store import Registry
from kws.reports import drawing
from kws.reports.progress import progress
from kws.terminal import dashboard, live
from kws.terminal.braille import Curve, chart, nice_ticks

NOW = datetime(2023, 5, 1, 10, tzinfo=UTC)
HOSTILE = "[bold red]\x1b[2Jx[/]\n\u202e" + "世" * 40


def row(run_id: str = "bcdfghjk", *, epochs: int = 12, status: str = RUNNING, planned: int = 50, **about):
    recipe = {name: about.pop(name) for name in ("arch", "opt", "seed") if name in about}
    made = tuple(replace(epoch, seconds=2.0) for epoch in read_back(make_epochs(epochs)))
    run = replace(make_run(run_id, status=status, **recipe), epochs_done=epochs, **about)
    run = replace(run, recipe=replace(run.recipe, epochs=planned))
    session = Session(number=1, first_epoch=1, started=NOW, heartbeat=NOW)
    return progress(Followed(run=run, epochs=made, session=session, arrived=NOW if epochs else None), NOW)


def drawn(rows, width: int = 80, height: int = 24, **about) -> list[str]:
    """The lines of a terminal of that size; none is longer than it, and there are not more."""
    console = Console(width=width, height=height, record=True, file=io.StringIO(), markup=False, **about)
    console.print(dashboard.frame(rows, "experiments.db", width=width, height=height))
    lines = console.export_text(styles=False).split("\n")[:-1]
    assert len(lines) <= height
    assert all(dashboard.Text(line).cell_len <= width for line in lines), lines
    return lines


# On a terminal


def test_a_line_has_all_of_a_run_and_below_it_are_its_curves():
    title, names, line, _, about, *plot = drawn([row()])
    assert title == "experiments.db: 1 run: 1 running"
    assert names.split() == ["run", "net", "opt", "seed", "epoch", "loss", "tr/val", "%", "tr/val", "s/ep", "status"]
    last = read_back(make_epochs(12))[-1]
    assert line.split() == [
        "a", "bcdfghjk", "cnn", "adam", "0", "━━┈┈┈┈┈┈┈┈", "12/50",
        f"{last.train_loss:.3f}/{last.validation_loss:.3f}",
        f"{100 * last.train_accuracy:.1f}/{100 * last.validation_accuracy:.1f}", "2.00", "1:16", "left",
    ]  # fmt: skip
    assert "accuracy (%)" in about and "loss" in about
    assert sum("⠀" < cell < "⣿" for line in plot for cell in line) > 40
    assert plot[-1].split() == ["1", "5", "10", "12"] * 2


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (160, 50), (110, 30), (59, 20), (40, 10), (20, 4)])
@pytest.mark.parametrize("count", [1, 3, 20, 60])
def test_any_number_of_runs_fits_on_any_terminal(width, height, count):
    lines = drawn([row(f"run{i:05}", seed=i, name=HOSTILE, planned=10_000) for i in range(count)], width, height)
    assert lines[0].startswith(f"experiments.db: {count} run"[: width - 1])
    shown = sum("run0" in line for line in lines)
    assert shown == count or lines[1 + shown + 1].startswith(f"{count - shown} more"[: width - 1])


def test_twenty_runs_have_their_lines_on_a_small_terminal_and_curves_on_a_large_one():
    rows = [row(f"run{i:05}", seed=i) for i in range(20)]
    assert len(drawn(rows)) == 22
    large = drawn(rows, 200, 60)
    assert len(large) == 60
    assert {mark for line in large[24:] for mark in re.findall(r"[a-t]", line)} >= set("abcdefghijklmnopqrst")


def test_where_not_all_fit_those_that_run_come_first():
    rows = [row(f"run{i:05}", status=LOST if i < 30 else RUNNING) for i in range(40)]
    lines = drawn(rows)
    assert [line.split()[1] for line in lines[2:-1]] == [f"run{i:05}" for i in (*range(11), *range(30, 40))]
    assert lines[-1].startswith("19 more")


@pytest.mark.parametrize(
    ("status", "about", "told"),
    [
        (RUNNING, {}, "running, 1 min 16 s left"),
        (FINISHED, {"test_accuracy": 0.9312}, "finished, 93.12 % on the test split"),
        (FAILED, {"error": "the loss became nan"}, "failed, the loss became nan"),
        (INTERRUPTED, {}, "interrupted"),
        (LOST, {}, "lost"),
    ],
)
def test_every_status_is_told(status, about, told):
    assert told in drawn([row(status=status, **about)], 160, 40)[2]
    assert told.split(",")[0].replace("running", "1:16 left") in drawn([row(status=status, **about)])[2]


def test_a_run_that_cannot_be_seen_is_told_with_its_last_sign_of_life(capsys):
    there = row("bcdfghjk")
    unseen = replace(there, run=replace(there.run, last_seen="2026-03-01T12:00:20.000+00:00"))
    assert "running, last seen at 2026-03-01T12:00:20Z" in drawn([unseen], 160, 40)[2]
    assert "last seen 12:00:20" in drawn([unseen])[2]
    lines = live.Lines()
    for each in (there, unseen, unseen):
        lines.show([each])
    said = [line for line in capsys.readouterr().out.splitlines() if "last seen" in line]
    assert len(said) == 1
    assert "run bcdfghjk" in said[0] and "it is running, last seen at 2026-03-01T12:00:20Z" in said[0]


def test_a_run_that_is_stalled_before_its_first_epoch_or_in_its_test_says_so():
    stalled = progress(Followed(run=make_run(status=RUNNING), epochs=row().epochs, session=Session(
        number=1, first_epoch=1, started=NOW, heartbeat=NOW), arrived=NOW), NOW.replace(minute=2))  # fmt: skip
    assert "stalled, no epoch for 2 min 0 s" in drawn([stalled], 160, 40)[2]
    assert "stalled 2:00" in drawn([stalled])[2]
    assert "first epoch" in drawn([row(epochs=0)])[2]
    assert "at its end" in drawn([row(epochs=50)])[2]


def test_names_from_outside_can_do_nothing_to_the_terminal():
    rows = [row(HOSTILE, arch=HOSTILE, name=HOSTILE, note=HOSTILE, error=HOSTILE, status=FAILED)]
    for width in (80, 200):
        text = "\n".join(drawn(rows, width, 24))
        assert "\x1b" not in text and "\u202e" not in text
        assert "[bold red]" in text
    for line in (live.epoch_line(rows[0], 3), live.end_line(rows[0])):
        assert line.isprintable()


def test_without_colours_training_is_dotted_and_runs_have_letters(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(width=80, height=24, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(dashboard.frame([row(), row("run2", seed=1)], "db", width=80, height=24))
    assert not re.search(r"\x1b\[[\d;]*[34]8;", console.file.getvalue())
    points = [(1.0, 1.0), (50.0, 1.0)]
    solid, dotted = (
        chart("", [Curve(points=points, style=Style(), dotted=dots)], width=40, height=8).plain
        for dots in (False, True)
    )
    assert solid != dotted


def test_colours_are_those_of_the_figure_but_for_black():
    assert dashboard.COLOURS[:-1] == drawing.COLOURS[:-1]


def test_without_runs_one_line_says_so():
    assert drawn([]) == [f"experiments.db: {dashboard.NONE}"]


# Curves


def test_a_curve_goes_from_its_first_point_to_its_last():
    lines = chart("t", [Curve(points=[(1, 0.0), (9, 100.0)], style=Style(), mark="a")], width=30, height=12).plain
    title, *plot = lines.split("\n")
    assert (title, len(plot)) == ("t", 11)
    assert plot[0].startswith("100┤") and plot[0].endswith("a")
    assert plot[8].startswith("  0┤⡠")
    assert plot[9] == "   └" + "─" * 25
    assert plot[10].split() == ["1", "5", "9"]


@pytest.mark.parametrize("points", [[], [(1, 0.5)], [(1, 0.5), (2, 0.5)], [(1, 1e300), (2, -1e300)], [(3, 0.0)]])
@pytest.mark.parametrize("size", [(80, 20), (16, 5), (10, 3), (200, 60)])
def test_any_points_are_drawn_in_any_size(points, size):
    width, height = size
    lines = chart("title", [Curve(points=points, style=Style(), mark="a")], width=width, height=height).plain.split(
        "\n"
    )
    assert len(lines) == height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [(0, 1, 6, [0, 0.2, 0.4, 0.6, 0.8, 1]), (33, 82, 6, [20, 40, 60, 80, 100]), (0.5, 0.5, 3, [0.495, 0.5, 0.505])],
)
def test_ticks_are_round(low, high, most, ticks):
    assert nice_ticks(low, high, most=most) == ticks


# In a pipe


@pytest.fixture
def registry():
    with Registry(Path(os.environ["KWS_DB"]), create=True) as opened:
        yield opened


def meanwhile(monkeypatch, *acts) -> None:
    """What happens in the first, second ... pause between two looks; then comes Ctrl-C."""
    left = iter(acts)

    def wait(self, seconds):
        act = next(left, None)
        if act is None:
            raise KeyboardInterrupt
        act()

    monkeypatch.setattr(live.Lines, "wait", wait)


def test_a_pipe_gets_a_line_for_each_new_epoch_and_the_end(registry, monkeypatch):
    card, epochs = make_card(), make_epochs(4)
    run_id = start(registry, make_recipe(epochs=4), card)
    registry.record(run_id, epochs[0])
    registry.record(run_id, epochs[1])
    meanwhile(
        monkeypatch,
        lambda: registry.record(run_id, epochs[2]),
        lambda: None,
        lambda: registry.record(run_id, epochs[3]),
        lambda: registry.finish(run_id, make_evaluation(card), card, WEIGHTS),
    )
    lines = ok("watch", "last").splitlines()
    who = f"run {run_id} (cnn, adam, seed 0)"
    assert [line.split(",")[2].split(": ")[-1] for line in lines[:3]] == ["epoch 2/4", "epoch 3/4", "epoch 4/4"]
    assert lines[0].startswith(f"{who}: epoch 2/4, train/val loss 0.333/0.367, accuracy 75.0/80.0 %, 0.25 s, ")
    assert lines[3:] == [f"{who} finished after 4 of 4 epochs: test accuracy 83.33 %"]


@pytest.mark.parametrize("status", [FAILED, INTERRUPTED, LOST])
def test_it_ends_when_the_run_has_ended_however_it_has(registry, monkeypatch, status):
    run_id = start(registry)
    acts = {LOST: lambda: sql(registry.path, "UPDATE sessions SET process_started = 'earlier'")}
    meanwhile(monkeypatch, acts.get(status, lambda: registry.end(run_id, status, "no reason")))
    (line,) = ok("watch", run_id[:4]).splitlines()
    why = "" if status == LOST else ": no reason"
    assert line.endswith(f"is {status} after 0 of 50 epochs{why}; to resume it: kws train --resume {run_id}")


def test_runs_that_have_ended_are_told_and_that_is_all(registry):
    runs = [train(registry), train(registry)]
    lines = ok("watch", *runs, "last").splitlines()
    assert [line.split()[1] for line in lines] == [run for run in runs for _ in range(2)]


def test_without_a_run_it_waits_for_one_and_shows_every_one_until_ctrl_c(registry, monkeypatch):
    train(registry)
    begun: list[str] = []
    meanwhile(
        monkeypatch,
        lambda: begun.append(start(registry, make_recipe(seed=7))),
        lambda: registry.record(begun[0], make_epochs(1)[0]),
        lambda: registry.end(begun[0], INTERRUPTED),
    )
    result = kws("watch")
    assert result.exit_code == 130
    assert result.stderr == f"{dashboard.NONE}\n"
    first, second = result.stdout.splitlines()
    assert first.startswith(f"run {begun[0]} (cnn, adam, seed 7): epoch 1/50")
    assert "is interrupted after 1 of 50 epochs" in second


def test_what_is_not_there_is_told_in_one_sentence(registry, tmp_path):
    assert "there is no run 'zzz'" in refused("watch", "zzz")
    assert "there is no registry" in refused("watch", "--db", tmp_path / "none.db")
    sql(registry.path, "PRAGMA user_version = 99")
    assert "upgrade kws" in refused("watch")


# A real terminal


class Terminal:
    """A command in a terminal of 80 by 24 cells."""

    def __init__(self, *arguments: object) -> None:
        leader, follower = os.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kws", *map(str, arguments)],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(follower)
        self.leader, self.seen = leader, ""

    def _read(self) -> bool:
        """Whether there was something to read before the command ended; fails where nothing comes for long."""
        patience = Patience(20)
        while not select.select([self.leader], [], [], 0.5)[0]:
            assert patience.is_left(), self.seen
        with suppress(OSError):
            chunk = os.read(self.leader, 65536).decode(errors="replace")
            self.seen += chunk
            return bool(chunk)
        return False

    def until(self, text: str) -> None:
        """Read until this was written."""
        while text not in self.seen and self._read():
            pass
        assert text in self.seen, self.seen

    def type(self, text: str) -> None:
        os.write(self.leader, text.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self.leader)
        return self.process.wait(timeout=10)


def test_a_training_is_watched_in_a_terminal_to_its_violent_end_and_ctrl_c_ends_at_once(tmp_path):
    write_task(tmp_path / "task")
    make_registry(Path(os.environ["KWS_DB"]))
    command = [sys.executable, "-m", "kws", *TRAIN, "--epochs", "100000", "--data", str(tmp_path / "task")]
    terminals = [Terminal("watch")]
    terminals[0].until("no run is running")
    training = subprocess.Popen(command, stderr=(tmp_path / "said").open("w"))
    try:
        while not (said := re.search(r"run (\w+):.*\nepoch", (tmp_path / "said").read_text())):
            assert training.poll() is None
            time.sleep(0.02)
        terminals.append(Terminal("watch", said[1]))
        all_runs, one = terminals
        one.until("/100000")
        all_runs.until("1 running")
        patience = Patience(1)
        all_runs.type("\x03")
        assert all_runs.end() == 130
        assert patience.is_left()
        training.kill()
        assert one.end() == 0
    finally:
        for process in (training, *(terminal.process for terminal in terminals)):
            process.kill()
            process.wait()
    for terminal in terminals:
        assert "Traceback" not in terminal.seen
        assert terminal.seen.index("\x1b[?1049h") < terminal.seen.index("\x1b[?1049l")
        assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")
    assert re.fullmatch(r"(\x1b\[\?25h|\s)*", all_runs.seen.split("\x1b[?1049l")[1])
    last = one.seen.split("\x1b[?1049l")[1]
    assert "1 run: 1 lost" in last
    assert said[1] in last
