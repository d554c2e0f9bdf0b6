"""`kws compare --check` finds every figure of a table over folds that was changed, in each form that compare writes."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from test_fold_tables import filled, world

from kws.reports import checking, table_files
from kws.reports.fold_grids import fold_grids
from kws.reports.folds import fold_tables
from kws.reports.formats import FORMATS
from kws.terminal import screens

ENDINGS = {"markdown": ".md", "latex": ".tex", "table": ".txt"}
OF_A_TABLE = re.compile(r"(label\{tab:[\w-]*|\bTable )$")  # what a table is called, which nothing checks
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.]*\w)")


@pytest.fixture(scope="module")
def tables():
    registry = filled(world(1, name="mine"), seeds=(0, 1))
    return fold_tables(registry, registry.runs)


def written(tables, form):
    if form != "table":
        return FORMATS[form]([], with_runs=True, folds=tables)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        screens.print_tables([], with_runs=True, more=[grid for t in tables for grid in fold_grids(t, with_runs=True)])
    return out.getvalue()


def check(folder, tables, text, form):
    path = folder / f"paper{ENDINGS[form]}"
    path.write_text(text, encoding="utf-8")
    return checking.check([], table_files.read(path), tables)


@pytest.mark.parametrize("form", ENDINGS)
def test_what_compare_writes_of_folds_agrees_with_it(tmp_path, tables, form):
    found = check(tmp_path, tables, written(tables, form), form)
    assert len(found.compared) > 30
    assert found.differing == () and found.unchecked == () and found.other_tables == 0


@pytest.mark.parametrize("form", ENDINGS)
def test_every_figure_that_is_changed_is_found(tmp_path, tables, form):
    text = written(tables, form)
    places = [found for found in NUMBER.finditer(text) if not OF_A_TABLE.search(text[: found.start()])]
    assert len(places) > 40
    missed = []
    for found in places:
        last = str((int(found[0][-1]) + 3) % 10)
        changed = text[: found.end() - 1] + last + text[found.end() :]
        result = check(tmp_path, tables, changed, form)
        if not result.differing:
            missed.append(text[max(0, found.start() - 30) : found.end() + 10])
    assert missed == []


def test_a_paper_may_print_fewer_digits_and_say_less(tmp_path, tables):
    all_folds = tables[0].recipes[0].together
    value = 100 * all_folds.accuracy.value
    paper = f"Accuracy over 3 folds.\n\n| fold | {tables[0].recipes[0].name} |\n| --- | --- |\n| all | {{:.1f}} % |\n"
    assert check(tmp_path, tables, paper.format(value), "markdown").differing == ()
    (found,) = check(tmp_path, tables, paper.format(value + 0.2), "markdown").differing
    assert (found.row, found.registry) == ("all", f"{value:.1f}")
