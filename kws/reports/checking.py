"""Checks a file's tables against the registry: everything in them is compared, or reported as unchecked.

Decisions:
- A table of the file is matched with the registry's table that shares its rows and columns. If several do, the caption
  decides. Then cells, names, bold, ties, captions and notes are compared at the precision of the file.
- Printing less than the registry is not an error: what is missing from the file is no difference, except a cell without
  its mean. Rows and columns that are left out are listed as unchecked.
- A table over folds is compared as text, cell by cell, at the precision of the file.
- If any cell is bold, all the best cells must be bold and no others. If any cell has a =, or the caption explains =,
  every tie must have one.
- What neither the registry's sentence nor the words beside it explain is unchecked. It never passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kws.errors import RegistryError
from kws.reports import broken_rows, checking_cells, checking_csv, checking_text_tables, facts, reprints, statements
from kws.reports.facts import Facts
from kws.reports.findings import Compared
from kws.reports.fold_grids import fold_grids
from kws.reports.folds import FoldTable
from kws.reports.table import TIES, Table
from kws.reports.text_tables import BEST_LEGEND, Grid, grids
from kws.reports.tokens import normal
from kws.reports.written_tables import FileTable

_LEGENDS = (TIES, BEST_LEGEND)  # which a caption may have, whether a cell has the mark or not
_SAME_CAPTION = 0.6  # share of the words of both
__all__ = ["Check", "Compared", "check"]


@dataclass(frozen=True)
class Check:
    """What could be compared of a file and what could not, and how many of its tables are about other things."""

    compared: tuple[Compared, ...]
    unchecked: tuple[Compared, ...]
    other_tables: int

    @property
    def differing(self) -> tuple[Compared, ...]:
        """The comparisons in which the file differs from the registry."""
        return tuple(each for each in self.compared if not each.agrees)

    def sentence(self, name: str) -> str:
        """A summary of the check of the file `name`: how much agrees with the registry, and what was not compared."""
        agree = len(self.compared) - len(self.differing)
        text = f"{agree} of {len(self.compared)} figures in {name} are the registry's"
        said, left_out = ([each for each in self.unchecked if bool(each.file) is there] for there in (True, False))
        if said:
            text += f"; {len(said)} more could not be checked"
        if left_out:
            text += f"; {len(left_out)} of the registry's rows and columns are not in it"
        if self.other_tables:
            many = f"{self.other_tables} other table{'s' * (self.other_tables > 1)}"
            text += f"; {many} there {'are' if self.other_tables > 1 else 'is'} not about these runs"
        return text


@dataclass(frozen=True)
class _Candidate:
    """A table of the registry's that a file's table may be about; `first` marks Table 1 itself."""

    file: FileTable
    table: Table | FoldTable
    grid: Grid
    known: Facts
    first: bool
    fit: int

    def near(self) -> Iterator[Compared]:
        """Compare the caption, the notes and the text around the table."""
        for paragraph in self.file.near:
            for part in re.split(r"(?=\bNote: )", paragraph):
                if reprints.is_note(part):
                    yield from reprints.note(part, self.grid.notes, self.known)
                elif part.strip():
                    yield from statements.caption(_without_legends(part, self.grid), self.grid.caption, self.known)
        for paragraph in self.file.far:
            yield from statements.distant(paragraph, self.known)

    def cells(self) -> Iterator[Compared]:
        """Compare the rows and columns."""
        if isinstance(self.table, FoldTable):
            named = [each.name for each in self.table.recipes]
        elif self.first:
            return checking_cells.main(self.table, self.file, self.known)
        else:
            named = [*self.table.rows, *self.table.columns]
        return checking_text_tables.rows_and_columns(named, self.grid, self.file, self.known)


def _without_legends(text: str, grid: Grid) -> str:
    """A caption without the legends that the registry's does not have; older tables explain marks that no cell has."""
    for legend in map(normal, _LEGENDS):
        if legend not in normal(grid.caption) and legend in normal(text):
            text = normal(text).replace(legend, "")
    return text


def check(tables: Sequence[Table], files: Sequence[FileTable], folds: Sequence[FoldTable] = ()) -> Check:
    """Compare everything in the file's tables that are about the registry's.

    Raises RegistryError if no table is, or if it is ambiguous which table one is about.
    """
    made: list[tuple[Table | FoldTable, Facts, list[Grid]]] = [
        *((table, facts.facts_of(table, tables), grids(table, with_runs=True)) for table in tables),
        *((each, facts.facts_of_folds(each, folds), fold_grids(each, with_runs=True)) for each in folds),
    ]
    found: list[Compared] = []
    about = 0
    last: Table | FoldTable | None = None
    for file in files:
        if checking_csv.is_long(file):
            about += 1
            of_leaderboards = checking_csv.is_of_leaderboards(file)
            found += checking_csv.lines([each for each in tables if bool(each.beside) == of_leaderboards], file)
            continue
        candidates: list[_Candidate] = []
        for headed in _headed(file):
            candidates = [
                _Candidate(whole, table, grid, of_table, first, fit)
                for table, of_table, each in made
                for place, grid in enumerate(each)
                for first in (place == 0 and isinstance(table, Table) and not table.beside,)
                for whole in (broken_rows.joined(headed, grid, checking_text_tables.columns_of(grid, headed)),)
                if (fit := _fit(table, grid, whole, first=first))
            ]
            if candidates:
                break
        if candidates:
            about += 1
            chosen, said = _chosen(candidates, last)
            last = chosen.table
            found += [*chosen.cells(), *said]
        elif meant := _captioned(file, [grid for *_, each in made for grid in each]):
            about += 1
            columns, theirs = (", ".join(filter(None, each.columns)) for each in (file, meant))
            columns += " over other rows" * (columns == theirs)
            found.append(Compared(what="columns", file=columns or "nothing", registry=theirs))
    if not about:
        of_folds = (column for each in folds for column in fold_grids(each)[0].columns)
        columns = ", ".join(dict.fromkeys([*(c for table in tables for c in table.columns), *of_folds])) or "none"
        raise RegistryError(
            f"the file has no table with rows and columns of the registry's (its columns are {columns})"
        )
    return Check(
        compared=tuple(each for each in found if not each.unchecked),
        unchecked=tuple(each for each in found if each.unchecked),
        other_tables=len(files) - about,
    )


def _fit(table: Table | FoldTable, grid: Grid, file: FileTable, *, first: bool) -> int:
    """How many rows and columns a file's table shares with one of the registry's."""
    if first and isinstance(table, Table):
        return checking_cells.fit(table, file)
    return checking_text_tables.fit(grid, file)


def _headed(file: FileTable) -> Iterator[FileTable]:
    """A table as it is, and with its column names one or two lines further down, below other headings."""
    for skipped in range(1 if file.lines else min(3, len(file.rows))):
        columns = tuple(said.text for said in file.rows[skipped - 1]) if skipped else file.columns
        yield replace(file, columns=columns, rows=file.rows[skipped:])


def _captioned(file: FileTable, stated: Sequence[Grid]) -> Grid | None:
    """The grid whose caption a table has although its rows and columns differ; None if there is none."""
    shares = [(statements.share(text, grid.caption), -k) for text in file.near for k, grid in enumerate(stated)]
    share, place = max(shares, default=(0.0, 0))
    return stated[-place] if share >= _SAME_CAPTION else None


def _chosen(candidates: Sequence[_Candidate], last: Table | FoldTable | None) -> tuple[_Candidate, list[Compared]]:
    """The registry's table that a file's table is about, and the comparison of its caption.

    Among several matches the one that contradicts the caption least is chosen, then the table matched before, then the
    one that shares most. Raises RegistryError if two are left and the caption does not decide.
    """
    kind = max(candidates, key=lambda each: each.fit).first
    told = [(each, list(each.near())) for each in candidates if each.first == kind]

    def order(pair: tuple[_Candidate, list[Compared]]) -> tuple[int, bool, int]:
        each, said = pair
        return sum(one.agrees - 2 * one.differs for one in said), not kind and each.table is last, each.fit

    best = max(map(order, told))
    left = [pair for pair in told if order(pair) == best]
    if len(left) > 1:
        if kind and not any(each.differs for each in left[0][1]):
            raise RegistryError(
                f"the registry has {len(left)} tables with these rows and columns; choose one with --data or --where"
            )
        return min(left, key=lambda pair: sum(each.differs for each in pair[0].cells()))
    return left[0]
