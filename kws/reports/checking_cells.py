"""Compares Table 1's cells, names, bold and ties in a file with the registry's, at the precision of the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from kws.reports import facts
from kws.reports.alignment import FILLING, denials, pairs_of, steps_to, text_of, value_of
from kws.reports.cells import Cell
from kws.reports.facts import Facts
from kws.reports.findings import Compared
from kws.reports.reprints import reprinted
from kws.reports.table import Table
from kws.reports.text_tables import cell_text
from kws.reports.tokens import (
    CODE,
    DEVIATION,
    HIGH,
    LOW,
    NUMBER,
    SIGN,
    WORD,
    N,
    P,
    Token,
    alike,
    around,
    content,
    normal,
    tokens,
)
from kws.reports.written_tables import FileTable, Said

_NOTHING = {"", "-", "--", "---", "\u2013", "\u2014", "n/a", "\u00b7", "\u2026"}
_EXPLAINED = {
    "=",
    "\u2013",
    "\u00b1",
    "\u2248",
    "<",
    ">",
    "\u2264",
    "\u2265",
    "n",
    "p",
    "to",
    "about",
    "approximately",
    "ca",
}
_PARAMETERS = re.compile(r"\W*(?:params?|parameters|size)\W*", re.IGNORECASE)
_SEEDS = re.compile(r"\W*(?:n|seeds?|runs?)\W*", re.IGNORECASE)
_TIE_MARK = re.compile(r"(?:^|[\s(\"'\u201c])=(?=[\s)\"'\u201d]*(?:[^\W\d]|:|$))")
_SCALES = {"k": 1e3, "K": 1e3, "M": 1e6}
_COUNT = re.compile(r"\(\s*([\d,. ]*\d)\s*([kKM]?)\s*param\w*\)")


def fit(table: Table, file: FileTable) -> int:
    """How many rows and columns a file's table shares with Table 1; 0 if it is another table."""
    rows = sum(bool(row) and facts.find(row[0].text, table.rows) is not None for row in file.rows)
    columns = sum(facts.find(name, table.columns) is not None for name in file.columns[1:])
    return rows + columns if rows and columns else 0


def main(table: Table, file: FileTable, known: Facts) -> Iterator[Compared]:
    """Compare a table that has the registry's rows and columns."""
    columns = [(place, facts.find(name, table.columns)) for place, name in enumerate(file.columns) if place]
    rows = [(said, facts.find(said[0].text, table.rows) if said else None) for said in file.rows]
    about = " ".join(file.near)
    percent = "%" in " ".join(file.columns) or "%" in about or any("%" in s.text for row in file.rows for s in row)
    cells = [said[place] for said, row in rows if row for place, column in columns if column and place < len(said)]
    bold = any(each.bold for each in cells) or re.search(r"\bbold", about) is not None
    ties = any(_is_tie(each) for each in cells) or _explains_ties(file.near)
    yield from _names(table, file, columns, rows)
    for said, row in rows:
        if row is None:
            continue
        for place, column in columns:
            part = said[place] if place < len(said) else Said("")
            if column is not None:
                yield from _cell(table, row, column, part, known, percent=percent, bold=bold, ties=ties)
            elif _PARAMETERS.fullmatch(file.columns[place]) or _SEEDS.fullmatch(file.columns[place]):
                yield from _beside(table, row, file.columns[place], part)
        for part in said[len(file.columns) :]:
            if part.text:
                yield Compared(row=row, what="cell", file=part.text, registry="")


def _names(
    table: Table,
    file: FileTable,
    columns: Sequence[tuple[int, str | None]],
    rows: Sequence[tuple[tuple[Said, ...], str | None]],
) -> Iterator[Compared]:
    """Compare the names of rows and columns: each is the registry's, occurs once, and states the right parameters."""
    for number in (each for each in tokens(normal(file.columns[0])) if each.kind == NUMBER):
        yield Compared(what="number", file=number.text, registry="", about=file.columns[0], unchecked=True)
    seen: set[str] = set()
    for place, column in columns:
        name = file.columns[place]
        if column is None and not _PARAMETERS.fullmatch(name) and not _SEEDS.fullmatch(name):
            yield Compared(column=name, what="column", file=name, registry="")
        elif column is not None:
            yield from _named(name, column, seen, Compared(column=column, what="column", file=name, registry=""))
    for said, row in rows:
        if row is not None:
            yield from _named(said[0].text, row, seen, Compared(row=row, what="row", file=said[0].text, registry=""))
        elif any(re.search(r"\d", each.text) for each in said[1:]):
            yield Compared(row=said[0].text, what="row", file=said[0].text, registry="")
        elif said and said[0].text and any(each.text not in _NOTHING for each in said[1:]):
            yield Compared(row=said[0].text, what="row", file=said[0].text, registry="", unchecked=True)
    for what, names in (("row", table.rows), ("column", table.columns)):
        for name in names:
            if name not in seen:
                yield Compared(what=what, file="", registry=name, about=name, unchecked=True)


def _named(said: str, name: str, seen: set[str], shown: Compared) -> Iterator[Compared]:
    if name in seen:
        yield replace(shown, file=f"{said} again")
    seen.add(name)
    stated, told = _COUNT.search(normal(name)), _COUNT.search(normal(said))
    if stated and told:
        plain = told[1].replace(" ", "").replace(",", "")
        value = float(stated[1].replace(",", "")) / _SCALES.get(told[2], 1)
        yield replace(shown, what=facts.PARAMETERS, file=plain, registry=_like(value, plain))


def _like(value: float, printed: str) -> str:
    """A value with as many decimals as `printed`; in general format if `printed` is not a number."""
    return alike(value, printed) if re.fullmatch(r"\d+(?:\.\d+)?", printed) else f"{value:g}"


def _beside(table: Table, row: str, name: str, said: Said) -> Iterator[Compared]:
    """Compare a column of parameters or seed counts, which the author made from the registry's cells."""
    of_row = [cell for cell in table.cells if cell.row == row]
    parameters = bool(_PARAMETERS.fullmatch(name))
    values = sorted({cell.parameters if parameters else cell.n for cell in of_row})
    for token in content(tokens(normal(said.text))):
        shown = Compared(
            row=row, column=name, what=facts.PARAMETERS if parameters else "n", file=token.text, registry=""
        )
        number = re.fullmatch(r"([\d.]+)([kKM]?)", normal(said.text).replace(",", ""))
        if number and len(values) == 1:
            scale = _SCALES.get(number[2], 1)
            yield replace(shown, file=number[1], registry=_like(values[0] / scale, number[1]))
            return
        yield replace(shown, unchecked=True, about=said.text)


def _cell(
    table: Table, row: str, column: str, said: Said, known: Facts, *, percent: bool, bold: bool, ties: bool
) -> Iterator[Compared]:
    cell = table.cell(row, column)
    text = normal(said.text)
    shown = Compared(row=row, column=column, what="mean", file=text or "nothing", registry="")
    if cell is None:
        if text not in _NOTHING:
            yield shown
        return
    number = next((each for each in tokens(text) if each.kind == NUMBER and not each.role), None)
    if not math.isfinite(cell.mean) and text not in _NOTHING:
        yield from reprinted(text, cell_text(table.metric, cell), known, shown)
    elif number is None:
        yield replace(shown, registry=table.metric.text(cell.mean))
    else:
        yield from _numbers(table, cell, text, number, known, shown, percent=percent)
    if bold and (said.bold or cell.best):
        yield replace(shown, what="bold", file=_bold(said.bold), registry=_bold(cell.best))
    if ties and (_is_tie(said) or cell.tie):
        yield replace(shown, what="tie", file=_tie(_is_tie(said)), registry=_tie(cell.tie))


def _numbers(
    table: Table, cell: Cell, text: str, number: Token, known: Facts, shown: Compared, *, percent: bool
) -> Iterator[Compared]:
    """Compare the mean and the numbers beside it."""
    told = tokens(text)
    scale = 100 if table.metric.percent and (percent or float(number.text) > 1) else 1
    yield replace(shown, file=number.text, registry=_as(number.text, cell.mean * scale))
    values = {DEVIATION: cell.std, LOW: cell.low, HIGH: cell.high}
    for each in told:
        part = replace(shown, what=each.role, file=each.text)
        if each.role in values:
            value = values[each.role]
            yield replace(part, registry="" if value is None else _as(each.text, value * scale))
        elif each.role == N:
            yield replace(part, registry=str(cell.n))
        elif each.role == P:
            yield from _p(cell, told, each, part)
    yield from _left(table, cell, text, known, shown)


def _left(table: Table, cell: Cell, text: str, known: Facts, shown: Compared) -> Iterator[Compared]:
    """Compare the rest of a cell with the rest of the registry's cell."""
    said, stated = (_rest(tokens(each)) for each in (text, normal(cell_text(table.metric, cell))))
    steps = steps_to(stated, said)
    pairs = pairs_of(steps, stated, said)
    for c, token in enumerate(said):
        if token.kind in (NUMBER, CODE):
            part = replace(shown, what="number", file=token.text, about=around(text, [token]))
            value = value_of(token, stated[pairs[c]], known) if c in pairs else None
            what, value = ("number", value) if value is not None else _alone(table, cell, token)
            yield replace(part, what=what, registry=value or "", unchecked=value is None)
    for step in (each for each in steps if each.tag != "equal"):
        ours, theirs = (
            [each for each in side if each.kind in (WORD, SIGN) and each.text not in FILLING]
            for side in (said[step.c : step.d], stated[step.a : step.b])
        )
        if all(each.kind == SIGN for each in ours):  # signs do not replace words
            theirs = [each for each in theirs if each.text != "%"]
        if (ours and theirs) or denials(ours) != denials(theirs):
            yield replace(shown, what="words", file=text_of(ours), registry=text_of(theirs))
            continue
        for token in ours:
            part = replace(shown, what="mark" if token.kind == SIGN else "words", file=token.text)
            if token.text != "%":
                yield replace(part, about=around(text, [token]), unchecked=True)
            elif not table.metric.percent:
                yield replace(part, what="unit", registry=table.metric.unit)


def _rest(told: Sequence[Token]) -> list[Token]:
    """The tokens of a cell other than its mean and the numbers that have a role."""
    mean = next((each for each in told if each.kind == NUMBER and not each.role), None)
    return [each for each in content(told) if each is not mean and not each.role and each.text not in _EXPLAINED]


def _alone(table: Table, cell: Cell, token: Token) -> tuple[str, str | None]:
    """What a number is that no word explains: the deviation or n if it has that value, else unknown."""
    scale = 100 if table.metric.percent else 1
    values = {DEVIATION: None if cell.std is None else _as(token.text, cell.std * scale), "n": str(cell.n)}
    agree = (what for what, value in values.items() if token.kind == NUMBER and value == token.text)
    return next(((what, token.text) for what in agree), ("number", None))


def _p(cell: Cell, told: Sequence[Token], token: Token, part: Compared) -> Iterator[Compared]:
    """Compare a p value, or a bound on one."""
    sign = told[told.index(token) - 1].text
    if cell.p is None:
        yield part
        return
    limit = float(token.text)
    holds = {"<": cell.p < limit, "\u2264": cell.p <= limit, ">": cell.p > limit, "\u2265": cell.p >= limit}.get(sign)
    value = _as(token.text, cell.p)
    yield replace(part, registry=(token.text if holds else f"{cell.p:.3g}") if holds is not None else value)


def _as(printed: str, value: float) -> str:
    """The registry's value with as many decimals as the printed number has."""
    return printed if "e" in printed and float(printed) == value else alike(value, printed)


def _is_tie(said: Said) -> bool:
    """Whether a cell has a = that does not belong to n or p, as in n = 5."""
    told = [each for each in tokens(normal(said.text)) if each.text != "%"]
    return any(each.text == "=" and not (k and told[k - 1].text in ("n", "p")) for k, each in enumerate(told))


def _explains_ties(paragraphs: Iterable[str]) -> bool:
    """Whether a caption explains =."""
    return any(_TIE_MARK.search(normal(text)) for text in paragraphs)


def _bold(bold: bool) -> str:
    return "bold" if bold else "not bold"


def _tie(tie: bool) -> str:
    return "=" if tie else "no ="
