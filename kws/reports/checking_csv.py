"""Compares the CSV of `kws compare`, one line per cell, with what the registry writes now, field by field."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kws.reports import facts
from kws.reports.findings import Compared
from kws.reports.formats import comma_separated
from kws.reports.table import Table
from kws.reports.tokens import alike, decimals, normal, tokens
from kws.reports.written_tables import FileTable

_CALLED = {"std": "deviation"}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NEEDED = {"mean", "row", "column"}  # fields that a line must not leave empty
Line = dict[str, str]


def is_long(file: FileTable) -> bool:
    """Whether a table has one line per cell."""
    return set(file.columns) >= {"row", "column", "mean"}


def is_of_leaderboards(file: FileTable) -> bool:
    """Whether such a table has what leaderboards say beside their metric."""
    return "preset" in file.columns


def lines(tables: Sequence[Table], file: FileTable) -> Iterator[Compared]:
    """Compare every field of every line."""
    stated = list(csv.DictReader(io.StringIO(comma_separated(list(tables)), newline="")))
    unknown = [name for name in file.columns if name not in (stated[0] if stated else ())]
    for name in unknown:
        yield Compared(column=name, what="column", file=name, registry="", unchecked=True)
    taken: set[int] = set()
    about: set[str] = set()
    for said in file.rows:
        line = dict(zip(file.columns, (each.text for each in said), strict=False))
        shown = Compared(row=line.get("row", ""), column=line.get("column", ""), what="row", file="", registry="")
        same = [
            (sum(line.get(name) == value for name, value in each.items()), -k)
            for k, each in enumerate(stated)
            if facts.same_name(each["row"], shown.row) and facts.same_name(each["column"], shown.column)
        ]
        if not same:
            yield replace(shown, file=shown.row)
            continue
        chosen = -max(same)[1]
        if chosen in taken:
            yield replace(shown, file=f"{shown.row} again")
        taken.add(chosen)
        about.add(stated[chosen]["data_fingerprint"] + stated[chosen]["epochs"])
        for name in file.columns:
            if name not in unknown:
                yield from _field(name, line.get(name, ""), stated[chosen][name], shown)
        for extra in said[len(file.columns) :]:
            yield replace(shown, what="cell", file=extra.text)
    for k, left in enumerate(stated):
        if k not in taken and left["data_fingerprint"] + left["epochs"] in about:
            name = f"{left['row']}, {left['column']}"
            yield Compared(what="row", file="", registry=name, about=name, unchecked=True)


def _field(name: str, said: str, stated: str, shown: Compared) -> Iterator[Compared]:
    """Compare a field that the file has; an empty field is an omission, and differs only if it is required."""
    what = _CALLED.get(name, name)
    if not said:
        if name in _NEEDED and stated:
            yield replace(shown, what=what, file="nothing", registry=stated)
        return
    if name == "data_fingerprint" and re.fullmatch("[0-9a-f]{6,64}", said) and stated.startswith(said):
        registry = said
    elif name in ("row", "column"):
        told = [[each.text for each in tokens(normal(text))] for text in (said, stated)]
        registry = said if told[0] == told[1] or not _says_more(said, stated) else stated
    else:
        registry = " ".join(_like(*pair) for pair in _pairs(said.split(), stated.split()))
    yield replace(shown, what=what, file=" ".join(said.split()), registry=" ".join(registry.split()))


def _says_more(said: str, stated: str) -> bool:
    """Whether a name has a number that the registry's name, with the same words, does not have."""
    numbers = {each.text for each in tokens(normal(stated))}
    return any(each.text not in numbers for each in tokens(normal(said)))


def _pairs(said: Sequence[str], stated: Sequence[str]) -> Iterator[tuple[str, str]]:
    for k in range(max(len(said), len(stated))):
        yield said[k] if k < len(said) else "", stated[k] if k < len(stated) else ""


def _like(said: str, stated: str) -> str:
    """The registry's value, in the file's notation if they agree."""
    if said.casefold() == stated.casefold():
        return said
    if not (_NUMBER.fullmatch(said) and _NUMBER.fullmatch(stated)):
        return stated
    if float(said) == float(stated):
        return said
    fewer = "e" not in (said + stated).lower() and decimals(said) < decimals(stated)
    return alike(float(stated), said) if fewer else stated
