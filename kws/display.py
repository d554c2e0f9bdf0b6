"""Everything that is drawn on the terminal: results on stdout, messages and progress on stderr.

Text from outside (names, notes, paths) is never read as rich's markup. Where stderr is no terminal, progress is a plain
line an epoch; where stdout is none, tables are as wide as they need to be.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from kws import architectures, optimizers
from kws.data_card import SPLITS, DataCard
from kws.events import EpochEnd, Evaluation, IterationEnd
from kws.recipe import Recipe
from kws.registry.runs import Epoch, Run
from kws.reports.classes import ClassReport
from kws.reports.formats import cell_text
from kws.reports.table1 import Cell
from kws.reports.table1 import Table as Table1
from kws.speech.checks import Report
from kws.speech.sources import Entry

if TYPE_CHECKING:
    from kws.layers import Network
    from kws.speed import Speed

T = TypeVar("T")


def _console(stream: Any, *, stderr: bool) -> Console:
    plain: dict[str, Any] = {} if stream.isatty() else {"width": 1000}
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=False, **plain)


def out() -> Console:
    """Where results go."""
    return _console(sys.stdout, stderr=False)


def err() -> Console:
    """Where messages and progress go."""
    return _console(sys.stderr, stderr=True)


def say(message: str) -> None:
    """A message on stderr."""
    err().print(message, soft_wrap=True)


def print_json(value: Any) -> None:
    """JSON on stdout, exactly as it is."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - rich would wrap it


def track(items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
    """A progress bar around an iterable (see kws.speech.progress); without a terminal, a line when it begins."""
    console = err()
    if not console.is_terminal:
        size = f"{total / 1e6:,.0f} MB" if unit == "bytes" else f"{total:,} {unit}"
        console.print(f"{what} ({size}) ...")
        yield from items
        return
    done: ProgressColumn = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    with Progress(TextColumn("{task.description}"), BarColumn(), done, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task, len(item) if unit == "bytes" else 1)  # type: ignore[arg-type]


def percent(value: float | None) -> str:
    """A fraction as percent with two digits, as in the report; "-" where there is none."""
    return "-" if value is None else f"{100 * value:.2f} %"


def duration(seconds: float) -> str:
    """A time as people say it: 8.2 s, 2 min 53 s, 1 h 4 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# Training


def training_title(run_id: str, recipe: Recipe, parameters: int, card: DataCard) -> str:
    """What is about to be trained, in one line."""
    clips = " / ".join(f"{sum(card.counts[split]):,}" for split in SPLITS)
    return (
        f"run {run_id}: {architectures.title(recipe.arch)}, {parameters:,} parameters, "
        f"{optimizers.title(recipe.opt)}, seed {recipe.seed}, on {card.source} "
        f"({', '.join(card.classes)}; {clips} clips)"
    )


def training_end(run: Run, card: DataCard) -> str:
    """How a run ended, and what to type next."""
    epochs = f"{run.epochs_done} epoch{'' if run.epochs_done == 1 else 's'}"
    return (
        f"run {run.id} finished: test accuracy {percent(run.test_accuracy)} on {sum(card.counts['test']):,} clips "
        f"of {run.data_source}, validation {percent(run.validation_accuracy)}, {epochs} in {duration(run.seconds)}\n"
        f"next: kws plot {run.id}   kws eval {run.id}   kws compare"
    )


class TrainingProgress:
    """A live bar of a run on stderr; where that is no terminal, a line an epoch."""

    def __init__(self, recipe: Recipe, clips: int) -> None:
        self._recipe, self._clips, self._start = recipe, clips, time.perf_counter()
        self._console = err()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._seen = 0
        self._speed = 0.0
        self._losses = "starting"

    def __enter__(self) -> TrainingProgress:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._text(0), total=self._recipe.epochs * self._clips)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, event: IterationEnd | EpochEnd) -> None:
        """Draw what has happened."""
        if isinstance(event, IterationEnd):
            self._seen += event.clips
            self._speed = self._seen / (time.perf_counter() - self._start)
            if self._bar:
                epoch = min(self._seen // self._clips + 1, self._recipe.epochs)
                self._bar.update(self._task, advance=event.clips, description=self._text(epoch))
            return
        self._losses = (
            f"train/val loss {event.train_loss:.3f}/{event.validation_loss:.3f}  "
            f"accuracy {100 * event.train_accuracy:.1f}/{100 * event.validation_accuracy:.1f} %"
        )
        if self._bar:
            self._bar.update(self._task, description=self._text(event.epoch))
        else:
            left = (self._recipe.epochs - event.epoch) * (time.perf_counter() - self._start) / event.epoch
            self._console.print(f"{self._text(event.epoch)}  {duration(left)} left")

    def _text(self, epoch: int) -> str:
        width = len(str(self._recipe.epochs))
        speed = f"  {self._speed:,.0f} clips/s" if self._speed else ""
        return f"epoch {epoch:{width}}/{self._recipe.epochs}  {self._losses}{speed}"


# Results


def print_tables(tables: list[Table1]) -> None:
    """Table 1 of each data set, the best in bold."""
    console = out()
    for number, table in enumerate(tables):
        if number:
            console.print()
        drawn = _table("", *table.columns, title=f"Table {number + 1}")
        for row in table.rows:
            cells = [table.cell(row, column) for column in table.columns]
            drawn.add_row(Text(row), *(_cell(cell, bold=console.is_terminal) for cell in cells))
        console.print(drawn)
        console.print(table.caption, soft_wrap=not console.is_terminal)


def _cell(cell: Cell | None, *, bold: bool) -> Text:
    """A cell's text; the best is bold, or between asterisks where there is no bold."""
    if cell is None or not cell.best:
        return Text(cell_text(cell))
    return Text(cell_text(cell), style="bold") if bold else Text(f"**{cell_text(cell)}**")


def print_runs(runs: list[Run]) -> None:
    """A line a run, in columns; plain text, since rich takes seconds to lay out a thousand rows."""
    rows = [("run", "status", "arch", "opt", "seed", "epochs", "validation", "test", "data", "started", "name")]
    rows.extend(
        (
            run.id,
            run.status,
            run.recipe.arch,
            run.recipe.opt,
            str(run.recipe.seed),
            f"{run.epochs_done}/{run.recipe.epochs}",
            percent(run.validation_accuracy),
            percent(run.test_accuracy),
            " ".join(run.data_source.split()),
            run.started_at[:16].replace("T", " "),
            " ".join((run.name or "").split()),
        )
        for run in runs
    )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201
    if not runs:
        say("no runs yet; `kws train --arch cnn --opt adam` makes one")


def print_run(run: Run, card: DataCard, evaluations: list[tuple[DataCard, Evaluation]], epochs: list[Epoch]) -> None:
    """All of one run."""
    console = out()
    facts = _table("", "", title=f"Run {run.id}", header=False)
    rows = {"status": run.status + (f": {run.error}" if run.error else ""), "name": run.name, "note": run.note}
    rows |= {"started": run.started_at, "ended": run.ended_at, "training": duration(run.seconds)}
    rows |= {"parameters": f"{run.parameters:,}"}
    rows |= {"data": f"{card.source}, fingerprint {card.fingerprint[:12]}"}
    for split in SPLITS:
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(card.classes, card.counts[split], strict=True))
        rows[f"  {split}"] = counts
    rows |= {f"recipe {name}": _plain(value) for name, value in vars(run.recipe).items() if value is not None}
    rows |= {name: _plain(value) for name, value in vars(run.environment).items()}
    for name, value in rows.items():
        if value is not None:
            facts.add_row(Text(name), Text(value))
    console.print(facts)
    for on, evaluation in evaluations:
        console.print(
            f"{evaluation.split} split of {on.source}: accuracy {percent(evaluation.accuracy)}, "
            f"loss {evaluation.loss:.4f}, {evaluation.clips:,} clips"
        )
    drawn = _table("epoch", "training loss", "accuracy", "validation loss", "accuracy", "seconds")
    for epoch in epochs:
        drawn.add_row(
            str(epoch.epoch),
            f"{epoch.train_loss:.4f}",
            percent(epoch.train_accuracy),
            f"{epoch.validation_loss:.4f}",
            percent(epoch.validation_accuracy),
            f"{epoch.seconds:.2f}",
        )
    console.print(drawn)


def print_evaluation(run: Run, card: DataCard, evaluation: Evaluation, report: ClassReport) -> None:
    """Accuracy, loss, confusion matrix and scores a class."""
    console = out()
    console.print(
        f"run {run.id} ({run.recipe.arch}, {run.recipe.opt}) on the {evaluation.split} split of {card.source}, "
        f"{evaluation.clips:,} clips: accuracy {percent(evaluation.accuracy)}, loss {evaluation.loss:.4f}",
        soft_wrap=not console.is_terminal,
    )
    confusion = _table("said \\ heard as", *card.classes, "recall", title="Confusion matrix")
    for score, row in zip(report.scores, report.confusion, strict=True):
        counts = (Text(str(n), style="bold" if i == report.scores.index(score) else "") for i, n in enumerate(row))
        confusion.add_row(Text(score.name), *counts, percent(score.recall))
    console.print(confusion)
    scores = _table("class", "precision", "recall", "F1", "clips")
    for score in report.scores:
        values = (percent(score.precision), percent(score.recall), percent(score.f1), f"{score.clips:,}")
        scores.add_row(Text(score.name), *values)
    console.print(scores)


def print_summary(network: Network, others: list[Network]) -> None:
    """A network layer by layer, its totals, and its size beside the other networks'."""
    console = out()
    title = f"{network.title}: log-mel features {_size(network.input_size)} to {_size(network.layers[-1].output_size)}"
    drawn = _table("layer", "", "output size", "parameters", "=", "multiply-accumulates", title=title)
    for layer in network.layers:
        drawn.add_row(
            layer.name,
            layer.kind,
            _size(layer.output_size),
            f"{layer.parameters:,}",
            layer.parameter_formula,
            f"{layer.multiply_accumulates:,}",
        )
    drawn.add_section()
    drawn.add_row("total", "", "", f"{network.parameters:,}", "", f"{network.multiply_accumulates:,}")
    console.print(drawn)
    for layer in network.layers:
        if layer.size_formula:
            console.print(f"{layer.name}: {layer.size_formula}")
    for other in others:
        larger, smaller = sorted((network, other), key=lambda each: each.parameters, reverse=True)
        console.print(
            f"{larger.arch} has {larger.parameters:,} parameters, {larger.parameters / smaller.parameters:.4f} times "
            f"the {smaller.parameters:,} of {smaller.arch}",
            soft_wrap=not console.is_terminal,
        )


def print_speeds(arch: str, threads: int, speeds: list[Speed]) -> None:
    """Training speed in each precision, and which one to choose."""
    console = out()
    drawn = _table("precision", "clips/s", "GFLOP/s", "peak", "share", title=f"Training {arch}, {threads} threads")
    for speed in speeds:
        figures = (f"{speed.clips_per_second:,.0f}", f"{speed.gflops:,.0f}", f"{speed.peak_gflops:,.0f}")
        drawn.add_row(speed.precision, *figures, f"{100 * speed.share:.0f} %")
    console.print(drawn)
    fastest = max(speeds, key=lambda speed: speed.clips_per_second)
    console.print(f"fastest here: --precision {fastest.precision}")


# Data


def print_sources(sources: list[Entry], chosen: str) -> None:
    """The data sources, where they lie, and which one is used by default."""
    drawn = _table("source", "", "there", "folder")
    for source in sources:
        drawn.add_row(source.name, source.title, "yes" if source.is_there else "no", Text(str(source.folder)))
    drawn.add_row("FOLDER", "recordings, a folder a word, or the course's arrays X_train.p ... Y_test.p", "", "")
    console = out()
    console.print(drawn)
    console.print(f"used without --data: {chosen}")


def print_check(report: Report) -> None:
    """What a source holds, and the clips that are not in order."""
    console = out()
    drawn = _table("word", *SPLITS, "total", title=f"{report.source}: {report.folder}")
    for word, counts in report.counts.items():
        drawn.add_row(Text(word), *(f"{counts[split]:,}" for split in SPLITS), f"{sum(counts.values()):,}")
    drawn.add_section()
    totals = [sum(counts[split] for counts in report.counts.values()) for split in SPLITS]
    drawn.add_row("total", *(f"{total:,}" for total in totals), f"{sum(totals):,}")
    drawn.add_row("speakers", *(f"{report.speakers.get(split, 0):,}" for split in SPLITS), "")
    console.print(drawn)
    shortest, mean, longest = report.seconds
    console.print(f"durations: {shortest:.2f} s to {longest:.2f} s, {mean:.2f} s on average")
    duplicated = [" = ".join(names) for names in report.duplicated]
    for what, names in (
        ("shorter than 1 s (padded with silence)", report.short),
        ("silent", report.silent),
        ("clipped", report.clipped),
        ("the same samples", duplicated),
        ("named by a list but not there", report.missing),
        ("UNREADABLE", [f"{clip} ({why})" for clip, why in report.unreadable.items()]),
        ("SPEAKERS IN TWO SPLITS", report.shared_speakers),
    ):
        some = f": {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}" if names else ""
        console.print(f"{what}: {len(names):,}{some}", soft_wrap=not console.is_terminal)


def _table(*columns: str, title: str = "", header: bool = True) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left", show_header=header, box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(column), justify="left", overflow="fold")
    return table


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
