"""Shows runs while they train: full-screen (kws.terminal.dashboard), or as plain lines if stdout is not a terminal.

The full screen is the terminal's alternate screen, so the previous content returns however the command ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.live import Live

from kws.registry.runs import FINISHED, described
from kws.reports.progress import Progress
from kws.terminal.console import out, percent, say, visible
from kws.terminal.dashboard import NONE, frame, time_left

_GLANCE_SECONDS = 0.2  # between two checks of the terminal's size


class View(Protocol):
    """A display that shows runs repeatedly."""

    def show(self, rows: Sequence[Progress]) -> None:
        """Show the runs as they are now."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


@contextmanager
def view(where: str) -> Iterator[View]:
    """The full screen, or plain lines if stdout is not a terminal; `where` names the runs' registry.

    When the body ends, the terminal's previous content is restored. If the body ended without an exception, the last
    frame is printed below it.
    """
    console = out()
    if not console.is_interactive or console.options.ascii_only:
        yield Lines()
        return
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        screen = Screen(live, where)
        yield screen
    console.print(frame(screen.rows, where, width=console.width, height=console.height - 1))


class Screen:
    """The full-screen view, redrawn at each poll and when the terminal's size changes."""

    def __init__(self, live: Live, where: str) -> None:
        self._live, self._where = live, where
        self.rows: Sequence[Progress] = ()

    def show(self, rows: Sequence[Progress]) -> None:
        """Show the runs as they are now."""
        self.rows = rows
        console = self._live.console
        width, height = self._size = console.size
        self._live.update(frame(rows, self._where, width=width, height=height), refresh=True)

    def wait(self, seconds: float) -> None:
        """Let time pass; redraw at once if the terminal's size changes."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _GLANCE_SECONDS))
            if self._live.console.size != self._size:
                self.show(self.rows)


class Lines:
    """Plain lines on stdout: one per new epoch and ended run; of the epochs before the first poll only the last."""

    def __init__(self) -> None:
        self._console = out()
        self._told: dict[str, int] = {}  # the last epoch printed of each run
        self._ended: set[str] = set()
        self._unseen: set[str] = set()
        self._first = self._any = True

    def show(self, rows: Sequence[Progress]) -> None:
        """Print what is new."""
        for row in rows:
            last = row.last.epoch if row.last else 0
            told = self._told.get(row.run.id, last - 1 if self._first else 0)
            for epoch in row.epochs:
                if epoch.epoch > told:
                    self._print(epoch_line(row, epoch.epoch))
            self._told[row.run.id] = last
            if not row.running and row.run.id not in self._ended:
                self._print(end_line(row))
                self._ended.add(row.run.id)
            elif row.running:  # also one that was resumed
                self._ended.discard(row.run.id)
            if row.running and row.run.last_seen and row.run.id not in self._unseen:
                self._print(visible(f"{_who(row)} cannot be seen from here: it is {described(row.run)}"))
                self._unseen.add(row.run.id)
        running = any(row.running for row in rows)
        if not running and not rows and self._any:
            say(NONE)
        self._any, self._first = running, False

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


def _who(row: Progress) -> str:
    return f"run {row.run.id} ({row.run.recipe.arch}, {row.run.recipe.opt}, seed {row.run.recipe.seed})"


def epoch_line(row: Progress, number: int) -> str:
    """The plain line for an epoch."""
    epoch = next(each for each in row.epochs if each.epoch == number)
    return visible(
        f"{_who(row)}: epoch {number}/{row.run.recipe.epochs}, "
        f"train/val loss {epoch.train_loss:.3f}/{epoch.validation_loss:.3f}, "
        f"accuracy {100 * epoch.train_accuracy:.1f}/{100 * epoch.validation_accuracy:.1f} %, {epoch.seconds:.2f} s"
        + (f", {time_left(row)}" if row.running and epoch is row.last else "")
    )


def end_line(row: Progress) -> str:
    """The plain line for a run that has ended."""
    run, done = row.run, f"after {row.run.epochs_done} of {row.run.recipe.epochs} epochs"
    if run.awaits_test:
        return visible(
            f"{_who(row)} finished {done}: validation accuracy {percent(run.validation_accuracy)}, not tested"
        )
    if run.status == FINISHED:
        return visible(f"{_who(row)} finished {done}: test accuracy {percent(run.test_accuracy)}")
    error = f": {run.error}" if run.error else ""
    return visible(f"{_who(row)} is {run.status} {done}{error}; to resume it: kws train --resume {run.id}")
