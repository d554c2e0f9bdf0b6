"""The screen of `kws watch`: one line per run, as many as fit, and their curves below if there is room.

If not all runs fit, running ones take precedence over ended ones. Colours are those of `kws plot`. Without colours,
runs are identified by the letter at the start of the line and at the end of the curve, and training curves by their
dots. Text from outside is never interpreted as rich markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from string import ascii_letters

from rich.console import Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from kws.recipe import has_rule
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, Epoch, described
from kws.reports.progress import Progress, series, summary
from kws.terminal.braille import Curve, chart
from kws.terminal.console import duration, percent, visible

# A copy of the colours in kws.reports.drawing, which imports matplotlib. The terminal's default colour replaces black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "default")
_STATUS_COLOURS = {FINISHED: "#009E73", FAILED: "#D55E00", LOST: "#D55E00", INTERRUPTED: "#E69F00"}
NONE = "no run is running; waiting for one, and Ctrl-C ends that"
_WIDE = 110  # terminals with at least this many cells spell words out
_LONGEST = 20  # maximum cells of a column, except the status, which may hold an error
_LONGEST_STATUS = 44
_BAR = (10, 40)  # maximum cells, in a narrow and in a wide terminal
_CHART_LINES = 8  # a smaller chart is not drawn
_TRAINING_CURVES = 4  # with more runs than this, only validation is drawn
_SIDE_BY_SIDE = 60  # terminals with at least this many cells show both accuracy and loss


def frame(rows: Sequence[Progress], where: str, *, width: int, height: int) -> Group:
    """The full screen of `width` x `height` cells: a title, one line per run, and the curves of these runs."""
    title = Text(
        f"{visible(where)}: {summary(rows) if rows else NONE}", style="bold", no_wrap=True, overflow="ellipsis"
    )
    room = max(height - 2, 1)  # below the title and the columns' names
    shown = list(rows)
    if len(shown) > room:
        kept = sorted(shown, key=lambda row: not row.running)[: room - 1]  # stable: the oldest of each first
        shown = [row for row in shown if row in kept]
    marked = list(zip(shown, cycle(ascii_letters), cycle(COLOURS), strict=False))
    if len(marked) == 1:  # as in `kws plot`: two colours for one run, the second for validation
        marked = [(shown[0], "a", COLOURS[1])]
    lines: list[Text | Table] = [title]
    if shown:
        lines += _lines(marked, width)
    if hidden := len(rows) - len(shown):
        more = f"{hidden} more; enlarge the terminal"
        lines.append(Text(more, style="dim", no_wrap=True, overflow="ellipsis"))
    below = height - len(lines) - 1
    if shown and below >= _CHART_LINES:
        lines += [Text(), _charts(tuple((row.epochs, mark, colour) for row, mark, colour in marked), width, below)]
    return Group(*lines)


@dataclass(frozen=True)
class _Column:
    """A column's name in a wide and in a narrow terminal, and its place in the order in which columns are dropped."""

    wide: str
    narrow: str
    goes: int = 0  # 0: stays


_COLUMNS = (
    _Column("", ""),
    _Column("run", "run"),
    _Column("network", "net", 4),
    _Column("optimizer", "opt", 3),
    _Column("seed", "seed", 2),
    _Column("", "", 6),  # the bar
    _Column("epoch", "epoch"),
    _Column("loss train/val", "loss tr/val", 5),
    _Column("accuracy train/val", "% tr/val"),
    _Column("s/epoch", "s/ep", 1),
    _Column("status", "status"),
    _Column("name", "", 1),
)
_BAR_AT = 5


def _lines(marked: list[tuple[Progress, str, str]], width: int) -> list[Text]:
    """The column names, then one line per run."""
    wide = width >= _WIDE
    gap = 2 if wide else 1
    names = any(row.run.name for row, _, _ in marked) and wide
    columns = [column for column in _COLUMNS if column.wide != "name" or names]
    cells = [[Text(column.wide if wide else column.narrow, style="dim") for column in columns]]
    cells += [_cells(row, mark, colour, wide=wide)[: len(columns)] for row, mark, colour in marked]
    for line in cells:
        for column, cell in zip(columns, line, strict=True):
            cell.truncate(_LONGEST_STATUS if column.narrow == "status" else _LONGEST, overflow="ellipsis")
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    widths[_BAR_AT] = 4
    there = list(range(len(columns)))
    while sum(widths[i] + gap for i in there) - gap > width and any(columns[i].goes for i in there):
        there.remove(min((i for i in there if columns[i].goes), key=lambda i: columns[i].goes))
    spare = width - (sum(widths[i] + gap for i in there) - gap)
    widths[_BAR_AT] += max(min(spare, _BAR[wide] - widths[_BAR_AT]), 0)
    for line, (row, _, _) in zip(cells[1:], marked, strict=True):
        line[_BAR_AT] = _bar(row.fraction, widths[_BAR_AT])
    lines = []
    for line in cells:
        drawn = Text(no_wrap=True, overflow="ellipsis")
        for i in there:
            drawn.append_text(line[i]).append(" " * (widths[i] - line[i].cell_len + gap))
        drawn.rstrip()
        drawn.truncate(width, overflow="ellipsis")
        lines.append(drawn)
    return lines


def _cells(row: Progress, mark: str, colour: str, *, wide: bool) -> list[Text]:
    """The cells of a run's line; the bar is still empty."""
    run, last = row.run, row.last
    return [
        Text(mark, style=Style(color=colour, bold=True)),
        Text(visible(run.id)),
        Text(visible(row.network if wide else run.recipe.arch)),
        Text(visible(row.optimizer if wide else run.recipe.opt)),
        Text(str(run.recipe.seed)),
        Text(),
        Text(f"{last.epoch if last else 0}/{run.recipe.epochs}"),
        Text(f"{last.train_loss:.3f}/{last.validation_loss:.3f}" if last else "-"),
        Text(f"{_points(last.train_accuracy)}/{_points(last.validation_accuracy)}" if last else "-"),
        Text("-" if row.seconds_an_epoch is None else _short(row.seconds_an_epoch)),
        _status(row, wide=wide),
        Text(visible(run.name or "")),
    ]


def _points(accuracy: float) -> str:
    """An accuracy in percent, in at most 4 cells."""
    return "100" if accuracy >= 0.9995 else f"{100 * accuracy:.1f}"


def _short(seconds: float) -> str:
    """Seconds in at most 4 cells, with as many digits as fit."""
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def _clock(seconds: float) -> str:
    """A duration, as 2:03 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def time_left(row: Progress, *, wide: bool = True) -> str:
    """The remaining time of a running run, or a note that it is stalled, in its first epoch, or at its end."""
    silent = row.seconds_silent or 0.0
    told = duration if wide else _clock
    if row.seconds_left is not None:
        return f"{'at most ' if wide and has_rule(row.run.recipe) else ''}{told(row.seconds_left)} left"
    if row.stalled:
        return f"stalled, no epoch for {duration(silent)}" if wide else f"stalled {_clock(silent)}"
    if row.last is None:
        return f"in its first epoch for {duration(silent)}" if wide else "first epoch"
    return "at its end"


def _status(row: Progress, *, wide: bool) -> Text:
    run = row.run
    style = Style(color=_STATUS_COLOURS.get(run.status, "default"))
    if row.running:
        text = f"last seen {run.last_seen[11:19]}" if run.last_seen else time_left(row, wide=wide)
        shown = described(run) if run.last_seen else f"running, {text}"
        late = row.stalled or bool(run.last_seen)
        return Text(visible(shown) if wide else visible(text), style=Style(color="#E69F00") if late else style)
    if run.awaits_test:
        about = "not tested"
    elif run.status == FINISHED:
        about = percent(run.test_accuracy) + " on the test split"
    else:
        about = visible(run.error or "")
    return Text(f"{visible(run.status)}, {about}" if wide and about else visible(run.status), style=style)


def _bar(fraction: float, width: int) -> Text:
    """A progress bar, drawn in half cells."""
    halves = int(fraction * 2 * width)
    done = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble((done, Style(color="#009E73")), ("┈" * (width - len(done)), "dim"))


_Marked = tuple[tuple[Sequence[Epoch], str, str], ...]  # a run's epochs, its letter and its colour


@lru_cache(maxsize=1)  # most polls find no new epoch
def _charts(marked: _Marked, width: int, height: int) -> Table | Text:
    """The runs' accuracy over their epochs, with the loss beside it if there is room."""
    training = len(marked) <= _TRAINING_CURVES
    about = "training dotted" if training else "of validation"
    both = width >= _SIDE_BY_SIDE
    each = (width - 2) // 2 if both else width
    accuracy = chart(f"accuracy (%), {about}", _curves(marked, "accuracy", training, 100), width=each, height=height)
    if not both:
        return accuracy
    loss = chart(f"loss, {about}", _curves(marked, "loss", training, 1), width=each, height=height, zero=True)
    beside = Table.grid(padding=(0, 2, 0, 0))
    beside.add_column(width=each, no_wrap=True)
    beside.add_column(width=each, no_wrap=True)
    beside.add_row(accuracy, loss)
    return beside


def _curves(marked: _Marked, quantity: str, training: bool, factor: int) -> list[Curve]:
    """The runs' curves; training comes first, so that validation is drawn over it."""
    curves = []
    for split in ("train", "validation") if training else ("validation",):
        for epochs, mark, colour in marked:
            pale = split == "train"
            if pale and len(marked) == 1:
                colour = COLOURS[0]
            points = [(x, factor * y) for x, y in series(epochs, f"{split}_{quantity}")]
            style = Style(color=colour, dim=pale and len(marked) > 1)
            curves.append(Curve(points=points, style=style, dotted=pale, mark="" if pale else mark))
    return curves
