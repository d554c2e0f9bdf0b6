"""A table in a paper against the registry: each number that it prints, at the precision that it prints it with.

Decisions:
- A row or column of the file is the registry's whose name has the same words; "(567171 params)" and punctuation may be
  left out. A row that is none of the registry's is a finding; a table with no column or no row of it is not about it.
- Of a cell are compared the mean, and where they are there: the deviation (after a plus-minus), the interval (a to b)
  and n. Where a table has bold cells, they must be the best, and the best must be bold.
- A number agrees where the registry's, written with as many decimals, is the same text. Accuracies count as percent
  where a percent sign is near or the number is above 1, and as fractions elsewhere.
- `kws compare --format csv` has a line a cell; there row, column, mean, std, low, high and n are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kws.errors import RegistryError
from kws.reports.cells import Cell
from kws.reports.table1 import Table
from kws.reports.table_files import FileTable, Said

_NUMBER = r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
_MEAN = re.compile(rf"^\s*({_NUMBER})")
_DEVIATION = re.compile(rf"(?:\u00b1|\+/-|\+-)\s*({_NUMBER})")
_INTERVAL = re.compile(rf"[(\[]\s*({_NUMBER})\s*(?:%\s*)?(?:to|,|-|\u2013|\.\.)\s*({_NUMBER})")
_N = re.compile(r"\bn\s*=\s*(\d+)")
_NOTHING = {"", "-", "--", "---", "\u2013", "\u2014", "n/a"}
_FINGERPRINT = re.compile(r"fingerprint ([0-9a-f]{6,64})")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One number of a file beside the registry's: `registry` is "" where that has none."""

    row: str
    column: str
    what: str  # mean, deviation, low, high, n, bold, row, column
    file: str
    registry: str

    @property
    def agrees(self) -> bool:
        """Whether both are the same."""
        return self.file == self.registry


def check(tables: Sequence[Table], files: Sequence[FileTable]) -> list[Compared]:
    """Every number of the file's tables that are about the registry's, beside the registry's.

    Raises RegistryError where none is, or where it cannot be told which table one is about.
    """
    found: list[Compared] = []
    known = 0
    for file in files:
        if _is_long(file):
            known += 1
            found += _long(tables, file)
            continue
        about = [table for table in tables if _matches(table, file)]
        if told := _FINGERPRINT.search(file.about):
            about = [table for table in about if table.data_fingerprint.startswith(told[1])] or about
        if len(about) > 1:
            around = " ".join(file.about.split())
            about = [table for table in about if _conditions_told(table) in around] or about
        if len(about) > 1:
            raise RegistryError(
                f"the registry has {len(about)} tables with these rows and columns; choose one with --data or --where"
            )
        if about:
            known += 1
            found += _wide(about[0], file)
    if not known:
        columns = ", ".join(dict.fromkeys(column for table in tables for column in table.columns)) or "none"
        raise RegistryError(
            f"the file has no table with rows and columns of the registry's (its columns are {columns})"
        )
    return found


def _words(name: str) -> tuple[str, ...]:
    """What counts of a name."""
    return tuple(re.findall(r"[^\W_]+", re.sub(r"\([\d,.\s]*\s*param\w*\)", "", name).casefold()))


def _find(name: str, among: Sequence[str]) -> str | None:
    """The registry's name that has the same words."""
    return next((each for each in among if _words(each) == _words(name)), None)


def _matches(table: Table, file: FileTable) -> bool:
    rows = any(row and _find(row[0].text, table.rows) for row in file.rows)
    return rows and any(_find(column, table.columns) for column in file.columns[1:])


def _conditions_told(table: Table) -> str:
    """The part of a table's caption that says what its runs have in common."""
    return " ".join(table.caption.partition(" (fingerprint")[0].split())


def _wide(table: Table, file: FileTable) -> Iterator[Compared]:
    """A table with the registry's rows and columns."""
    columns = [(place, _find(name, table.columns)) for place, name in enumerate(file.columns) if place]
    percent = "%" in " ".join(file.columns) or "%" in file.about or any("%" in s.text for row in file.rows for s in row)
    marked = any(each.bold for row in file.rows for each in row[1:])
    for place, column in columns:
        if column is None:
            yield Compared(row="", column=file.columns[place], what="column", file=file.columns[place], registry="")
    for said in file.rows:
        row = _find(said[0].text, table.rows) if said else None
        if row is None:
            if any(re.search(r"\d", each.text) for each in said[1:]):
                yield Compared(row=said[0].text, column="", what="row", file=said[0].text, registry="")
            continue
        for place, column in columns:
            if column is not None and place < len(said):
                yield from _cell(table, row, column, said[place], percent=percent, marked=marked)


def _cell(table: Table, row: str, column: str, said: Said, *, percent: bool, marked: bool) -> Iterator[Compared]:
    cell = table.cell(row, column)
    text = said.text.strip().strip("*").strip()
    number = _MEAN.match(text)
    mean = number[1] if number else ""

    def compared(what: str, file: str, registry: str) -> Compared:
        return Compared(row=row, column=column, what=what, file=file, registry=registry)

    if cell is None or not mean:
        if cell is not None or text not in _NOTHING:
            yield compared("mean", text or "nothing", table.metric.text(cell.mean) if cell else "")
        return
    scale = 100 if table.metric.percent and (percent or float(mean.replace(",", "")) > 1) else 1
    yield compared("mean", _plain(mean), _as(mean, cell.mean * scale))
    rest = text[number.end() :] if number else ""
    if deviation := _DEVIATION.search(rest):
        yield compared(
            "deviation", _plain(deviation[1]), "" if cell.std is None else _as(deviation[1], cell.std * scale)
        )
    if interval := _INTERVAL.search(rest):
        for what, end, value in (("low", interval[1], cell.low), ("high", interval[2], cell.high)):
            yield compared(what, _plain(end), "" if value is None else _as(end, value * scale))
    if n := _N.search(rest):
        yield compared("n", n[1], str(cell.n))
    if marked and (said.bold or cell.best):
        yield compared("bold", _bold(said.bold), _bold(cell.best))


def _bold(bold: bool) -> str:
    return "bold" if bold else "not bold"


def _plain(number: str) -> str:
    return number.replace(",", "").lstrip("+")


def _as(printed: str, value: float) -> str:
    """The registry's value with as many decimals as the printed number has."""
    return f"{value:.{len(printed.partition('.')[2])}f}"


def _is_long(file: FileTable) -> bool:
    return {"row", "column", "mean"} <= set(file.columns)


def _long(tables: Sequence[Table], file: FileTable) -> Iterator[Compared]:
    """The CSV of `kws compare`: a line a cell."""
    for said in file.rows:
        line = dict(zip(file.columns, (each.text for each in said), strict=False))
        fingerprint = line.get("data_fingerprint", "")
        cells = [
            cell
            for table in tables
            if table.data_fingerprint.startswith(fingerprint) and _conditions(table) == _conditions_of(line, table)
            for cell in table.cells
            if _words(cell.row) == _words(line["row"]) and _words(cell.column) == _words(line["column"])
        ]
        if len(cells) != 1:
            there = "" if not cells else "several cells"
            yield Compared(row=line["row"], column=line["column"], what="row", file=line["row"], registry=there)
            continue
        yield from _fields(cells[0], line)


def _fields(cell: Cell, line: dict[str, str]) -> Iterator[Compared]:
    for name, what in (("mean", "mean"), ("std", "deviation"), ("low", "low"), ("high", "high"), ("n", "n")):
        printed, value = line.get(name, ""), getattr(cell, name)
        if printed:
            registry = "" if value is None else printed if printed == repr(value) else _as(printed, float(value))
            yield Compared(row=cell.row, column=cell.column, what=what, file=printed, registry=registry)


def _conditions(table: Table) -> dict[str, str]:
    return {name: str(value) for name, value in table.conditions.items()}


def _conditions_of(line: dict[str, str], table: Table) -> dict[str, str]:
    """The conditions that a line says, and the table's where it says none."""
    return {name: line.get(name) or str(value) for name, value in table.conditions.items()}
