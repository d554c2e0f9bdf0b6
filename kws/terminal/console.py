"""The consoles for results, messages and progress; kws.terminal.screens lays out the results themselves.

Text from outside (names, notes, paths) is never interpreted as rich markup. If stderr is not a terminal, progress is
one plain line per epoch. If stdout is not a terminal, tables are as wide as they need to be. FORCE_COLOR only enables
colours in a file or a pipe, as CI services want: live displays move the cursor, so they need a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from kws.recipe.wording import counted
from kws.recipe.wording import percent as percent
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.reports.line_breaks import broken
from kws.terminal.visible import visible as visible
from kws.terminal.visible import visible_part as visible_part

T = TypeVar("T")
# Colours by ANSI's names, which each terminal shows such that they can be read on its background.
BAR_STYLES: dict[str, Any] = {"style": "dim", "complete_style": "cyan", "finished_style": "green"}
STATUS_STYLES = {FINISHED: "green", RUNNING: "cyan", INTERRUPTED: "magenta", FAILED: "red", LOST: "red"}
_ANY_WIDTH = 100_000  # characters; wider than any table, so that nothing is broken over lines in a file or a pipe


def _console(stream: Any, *, stderr: bool) -> Console:
    is_terminal = stream is not None and stream.isatty()
    about: dict[str, Any] = {"force_terminal": is_terminal and os.environ.get("TTY_COMPATIBLE") != "0"}
    if not is_terminal:
        about |= {"force_interactive": False, "width": _ANY_WIDTH, "color_system": _forced_colours()}
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=False, **about)


def _forced_colours() -> str | None:
    """The colour system that the environment asks for in a file or a pipe, by rich's name; None for no colours."""
    if not os.environ.get("FORCE_COLOR") and os.environ.get("TTY_COMPATIBLE") != "1":
        return None
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if os.environ.get("TERM", "").endswith("256color") else "standard"


def shows_bold(console: Console) -> bool:
    """Whether bold text looks different from plain text on this console."""
    return console.color_system is not None


def out() -> Console:
    """The console for results (stdout)."""
    return _console(sys.stdout, stderr=False)


def err() -> Console:
    """The console for messages and progress (stderr)."""
    return _console(sys.stderr, stderr=True)


def paragraph(console: Console, text: str, *, style: str = "", indent: int = 0) -> None:
    """Print a text, on a terminal broken between words, never within a number or between it and its unit.

    All lines but the first begin with so many spaces.
    """
    for number, line in enumerate(broken(text, console.width - indent, cell_len, cell=False)):
        console.print(Text(" " * indent * (number > 0) + line, style=style), soft_wrap=True)


def say(message: str) -> None:
    """Print a message on stderr."""
    paragraph(err(), message)


def tell(result: str, *, indent: int = 0) -> None:
    """Print a result in words on stdout."""
    paragraph(out(), result, indent=indent)


def print_json(value: Any) -> None:
    """Print JSON on stdout without wrapping; characters that its encoding lacks become JSON escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)  # noqa: T201 - rich would wrap it


def track(items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
    """The same items with a progress bar (see kws.speech.progress); without a terminal, one line at the start."""
    console = err()
    if not console.is_interactive:
        one, space, rest = unit.partition(" ")
        size = f"{total / 1e6:,.0f} MB" if unit == "bytes" else counted(total, one.removesuffix("s")) + space + rest
        console.print(f"{what} ({size}) ...", soft_wrap=True)
        yield from items
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    done = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    with Progress(
        TextColumn("{task.description}"), BarColumn(**BAR_STYLES), done, TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task, len(item) if unit == "bytes" else 1)  # type: ignore[arg-type]


def duration(seconds: float) -> str:
    """A readable duration: 8.2 s, 2 min 53 s, 1 h 4 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def training_time(seconds: float, processor_seconds: float | None) -> str:
    """How long a run trained, with the processor seconds of all its threads if they are known."""
    of_processor = "" if processor_seconds is None else f" ({processor_seconds:,.1f} processor seconds)"
    return duration(seconds) + of_processor
