"""Prints a list of runs: a line a run, which is never broken; columns that a terminal has no room for are left out.

In a file or a pipe every column stands in full, dates too, so that lines can be filtered. The lines are not laid out by
rich, which takes seconds for a thousand of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kws.recipe.wording import listed
from kws.registry.runs import Run
from kws.reports.run_list import COLUMNS, DEFAULT
from kws.terminal.console import STATUS_STYLES, out, say, visible

_GAP = 2
_LONGEST = 24  # letters of a name or of a data set's name, where a terminal has no room for all
_SHORTENED = ("name", "data")


def print_runs(runs: Sequence[Run], *, more: int = 0, by: str = DEFAULT) -> None:
    """Print these runs, sorted `by` a column, and on stderr how many `more` there are and what was left out."""
    console = out()
    if console.is_terminal and not runs:
        return
    table = {
        column.name: [visible(column.text(run)) for run in runs]
        for column in COLUMNS
        if column.name != "last seen" or any(run.last_seen for run in runs)
    }
    left_out = list[str]()
    if console.is_terminal:
        table = {name: texts for name, texts in table.items() if any(texts)}
        table["started"] = _dates(table["started"], sorted_by_them=by.endswith(DEFAULT))
        left_out = _fit(table, console.width)
    lines = _lines(table)
    if console.color_system is None:
        print("\n".join(lines))  # noqa: T201
    else:
        console.print(_coloured(lines, table, runs), soft_wrap=True)
    told = [f"{more:,} more run{'' if more == 1 else 's'}; --limit all lists every one"] if more else []
    if left_out:
        told.append(f"no room here for {listed(left_out)}")
    if told:
        say("; ".join(told))


def _dates(texts: list[str], *, sorted_by_them: bool) -> list[str]:
    """Times without the year where all are of this year, and without the day where the line above has the same."""
    year = f"{datetime.now(UTC).year}-"
    if all(text.startswith(year) for text in texts):
        texts = [text.removeprefix(year) for text in texts]
    if not sorted_by_them:
        return texts
    days = [text.rpartition(" ")[0] for text in texts]
    return [
        text.rpartition(" ")[2].rjust(len(text)) if place and days[place] == days[place - 1] else text
        for place, text in enumerate(texts)
    ]


def _fit(table: dict[str, list[str]], width: int) -> list[str]:
    """Shorten names, and take columns away, until the table is no wider; the columns that are gone, in their order."""
    if _width(table) > width:
        for name in (name for name in _SHORTENED if name in table):
            table[name] = [
                text if cell_len(text) <= _LONGEST else f"{set_cell_size(text, _LONGEST - 1).rstrip()}\u2026"
                for text in table[name]
            ]
    gone = list[str]()
    for column in sorted((each for each in COLUMNS if each.goes and each.name in table), key=lambda each: each.goes):
        if _width(table) <= width:
            break
        del table[column.name]
        gone.append(column.name)
    return [column.name for column in COLUMNS if column.name in gone]


def _widths(table: dict[str, list[str]]) -> list[int]:
    return [max(map(cell_len, (name, *texts))) for name, texts in table.items()]


def _width(table: dict[str, list[str]]) -> int:
    return sum(_widths(table)) + _GAP * (len(table) - 1)


def _lines(table: dict[str, list[str]]) -> list[str]:
    """The names of the columns, then a line a run."""
    widths = _widths(table)
    rows = [list(table), *(list(row) for row in zip(*table.values(), strict=True))]
    return [
        (" " * _GAP)
        .join(text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
        .rstrip()
        for row in rows
    ]


def _coloured(lines: list[str], table: dict[str, list[str]], runs: Sequence[Run]) -> Text:
    """The lines, with a colour for each status."""
    names = list(table)
    place = names.index("status")
    begin = sum(width + _GAP for width in _widths(table)[:place])
    head, *rest = lines
    drawn = Text(head, style="")
    drawn.stylize("bold")
    for line, run in zip(rest, runs, strict=True):
        drawn.append("\n" + line[:begin])
        drawn.append(run.status, style=STATUS_STYLES.get(run.status, ""))
        drawn.append(line[begin + len(run.status) :])
    return drawn
