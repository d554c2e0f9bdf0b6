"""A training run on the terminal: a title line, a live bar or one line per epoch, and how the run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from kws.events import SPLITS, DataCard, EpochEnd, IterationEnd
from kws.recipe import NETWORK, OPTIMIZER, Recipe, counted, has_rule
from kws.registry.runs import Run, early_stop
from kws.reports.table import classes_text
from kws.terminal import console
from kws.terminal.console import duration, err, percent, training_time

T = TypeVar("T")
_BAR = 15  # characters for a short bar and the time left, which stand behind the figures


class Terminal:
    """The runner's reporter that draws on stderr (see kws.training.reporter)."""

    def say(self, message: str) -> None:
        """Print a message on one line; it may contain file names."""
        console.say(console.visible(message))

    def track(self, items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
        """The same items with a progress bar."""
        return console.track(items, total=total, what=what, unit=unit)

    @contextmanager
    def training(
        self, run_id: str, recipe: Recipe, parameters: int, card: DataCard, *, clips: int, done: int
    ) -> Iterator[Callable[[IterationEnd | EpochEnd], None]]:
        """Print what is about to be trained, then show its progress; gives the function to call with each event."""
        console.say(training_title(run_id, recipe, parameters, card))
        with TrainingProgress(recipe, clips, done=done) as progress:
            yield progress.show

    def trained(self, run: Run, card: DataCard, processor_seconds: float | None) -> None:
        """Print how the run ended."""
        console.say(training_end(run, card, processor_seconds))


def training_title(run_id: str, recipe: Recipe, parameters: int, card: DataCard) -> str:
    """One line that describes the run that is about to train."""
    clips = " / ".join(f"{sum(card.counts[split]):,}" for split in SPLITS)
    return (
        f"run {run_id}: {NETWORK.title(recipe.arch)}, {parameters:,} parameters, "
        f"{OPTIMIZER.title(recipe.opt)}, seed {recipe.seed}, on {card.source} "
        f"({classes_text(card.classes, [recipe])}; {clips} clips)"
    )


def training_end(run: Run, card: DataCard, processor_seconds: float | None = None) -> str:
    """How a run ended, and which commands to try next."""
    epochs = f"{counted(run.epochs_done, 'epoch')} in {training_time(run.seconds, processor_seconds)}"
    stopped = f"it {told}\n" if (told := early_stop(run)) else ""
    if run.test_accuracy is None:
        return (
            f"run {run.id} finished: validation accuracy {percent(run.validation_accuracy)} of {run.data_source}, "
            f"{epochs}; it is not tested\n"
            f"{stopped}next: kws plot {run.id}   kws eval {run.id} --split validation   kws test {run.id}"
        )
    return (
        f"run {run.id} finished: test accuracy {percent(run.test_accuracy)} on {sum(card.counts['test']):,} clips "
        f"of {run.data_source}, validation {percent(run.validation_accuracy)}, {epochs}\n"
        f"{stopped}next: kws plot {run.id}   kws eval {run.id}   kws compare"
    )


class TrainingProgress:
    """A run's live progress bar on stderr; one line per epoch if stderr is not a terminal."""

    def __init__(self, recipe: Recipe, clips: int, *, done: int = 0) -> None:
        self._recipe, self._clips, self._done, self._start = recipe, clips, done, time.perf_counter()
        self._console = err()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._seen = 0
        self._speed = 0.0
        self._last: EpochEnd | None = None
        self._most = "at most " if has_rule(recipe) else ""

    def __enter__(self) -> TrainingProgress:
        if self._console.is_interactive:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None, **console.BAR_STYLES),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.start()
            clips = self._recipe.epochs * self._clips
            self._task = self._bar.add_task(self._text(0), total=clips, completed=self._done * self._clips)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, event: IterationEnd | EpochEnd) -> None:
        """Draw the progress after an event."""
        if isinstance(event, IterationEnd):
            self._seen += event.clips
            self._speed = self._seen / (time.perf_counter() - self._start)
            if self._bar:
                epoch = min(self._done + self._seen // self._clips + 1, self._recipe.epochs)
                self._bar.update(self._task, advance=event.clips, description=self._text(epoch))
            return
        self._last = event
        if self._bar:
            self._bar.update(self._task, description=self._text(event.epoch))
        else:
            each = (time.perf_counter() - self._start) / (event.epoch - self._done)
            left = (self._recipe.epochs - event.epoch) * each
            self._console.print(f"{self._text(event.epoch)}  {self._most}{duration(left)} left", soft_wrap=True)

    def _text(self, epoch: int) -> str:
        """What stands before the bar: as much as leaves room for the bar and for the time left."""
        texts, room = self._texts(epoch), self._console.width - _BAR
        return next((text for text in texts if len(text) <= room), texts[-1])

    def _texts(self, epoch: int) -> list[str]:
        """The epoch and its figures, from the longest text to the shortest."""
        at = f"epoch {epoch:{len(str(self._recipe.epochs))}}/{self._recipe.epochs}"
        speed = f"  {self._speed:,.0f} clips/s" if self._speed else ""
        if not (last := self._last):
            return [f"{at}  starting{speed}", f"{at}  starting"]
        accuracy = f"{100 * last.validation_accuracy:.1f} %"
        whole = (
            f"{at}  train/val loss {last.train_loss:.3f}/{last.validation_loss:.3f}  "
            f"accuracy {100 * last.train_accuracy:.1f}/{accuracy}"
        )
        return [
            f"{whole}{speed}",
            whole,
            f"{at}  val loss {last.validation_loss:.3f}  accuracy {accuracy}",
            f"{at}  {accuracy}",
        ]
