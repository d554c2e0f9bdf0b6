"""Writes Table 1 as text: Markdown, LaTeX, CSV and JSON. The same registry gives the same bytes.

Markdown and LaTeX write every grid of a table (see kws.reports.text_tables). CSV has one line per cell, and JSON has
everything.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from kws.recipe import own_options
from kws.recipe.config import NEVER
from kws.reports.cells import Cell
from kws.reports.fold_grids import fold_grids, record
from kws.reports.folds import FoldTable
from kws.reports.latex import latex
from kws.reports.reference import Evidence, Paper
from kws.reports.table import Table
from kws.reports.text_tables import Grid, grids

SCHEMA = 2
_CONDITIONS = tuple(each.name for each in own_options() if each.condition and each.absent is NEVER)
# Newer than the first tables: left out where no run has them, so that what was printed before stays as it was.
_RULES = tuple(each.name for each in own_options() if each.condition and each.absent is not NEVER)
_BESIDE = ("preset", "validation_accuracy", "multiply_accumulates", "seconds", "processor_seconds")


def markdown(tables: list[Table], *, with_runs: bool = False, folds: Sequence[FoldTable] = ()) -> str:
    """Pipe tables, each under its caption."""
    made = [grid for table in tables for grid in grids(table, with_runs=with_runs)]
    made += [grid for table in folds for grid in fold_grids(table, with_runs=with_runs)]
    return "\n".join(map(_markdown, made))


def _markdown(grid: Grid) -> str:
    lines = [f"{_escape_markdown(grid.caption)}", ""]
    head, *columns = map(_escape_markdown, grid.columns)
    lines.append(f"| {head} | ".replace("|  |", "| |") + " | ".join(columns) + " |")
    lines.append("| --- |" + " --- |" * len(columns))
    for i, row in enumerate(grid.rows):
        texts = [_escape_markdown(text) for text in row]
        lines.append("| " + " | ".join(f"**{t}**" if (i, j) in grid.bold else t for j, t in enumerate(texts)) + " |")
    for note in grid.notes:  # each a paragraph of its own
        lines += ["", f"Note: {_escape_markdown(note)}."]
    return "\n".join(lines) + "\n"


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\|*_`<>[]" else letter for letter in " ".join(text.split()))


def comma_separated(tables: list[Table], **_: Any) -> str:
    """One line per cell, percentages as fractions; with a publication's figures if a table has them."""
    papers = any(table.paper for table in tables)
    more = _BESIDE if any(table.beside for table in tables) else ()
    conditions = [*_CONDITIONS, *(name for name in _RULES if any(_has(table, name) for table in tables))]
    targets = ["target"] * any(table.metric.target is not None for table in tables)
    heads = ["metric", *targets, "data", "data_fingerprint", *conditions, *_fields(), *more, *["reported"] * papers]
    lines = [_line(heads)]
    for table in tables:
        metric = [table.metric.name, *[table.metric.target for _ in targets]]
        about = [*metric, table.data, table.data_fingerprint]
        for cell in table.cells:
            beside = table.beside.get(cell.row)
            own = map(beside.recipe.values.get if beside else table.conditions.get, conditions)
            values = [
                *(_joined(getattr(cell, field)) for field in _fields()),
                *(getattr(beside, name) for name in more),
            ]
            lines.append(_line([*about, *own, *values, *[table.paper and table.paper.reported(cell)] * papers]))
    return "".join(lines)


def _has(table: Table, condition: str) -> bool:
    of_recipes = any(each.recipe.values.get(condition) is not None for each in table.beside.values())
    return of_recipes or table.conditions.get(condition) is not None


def _joined(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def _line(values: list[Any]) -> str:
    """A record and a newline.

    csv quotes only the line breaks that it ends records with, so records end with both characters here.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(values)
    return out.getvalue().removesuffix("\r\n") + "\n"


def _fields() -> list[str]:
    return [field.name for field in dataclasses.fields(Cell)]


def as_json(tables: list[Table], *, folds: Sequence[FoldTable] = (), **_: Any) -> str:
    """{"schema": 2, "tables": [...]}, accuracies as fractions; and "folds", if there are any."""
    made: dict[str, Any] = {"schema": SCHEMA, "tables": [_record(table) for table in tables]}
    return json.dumps(made | ({"folds": [record(table) for table in folds]} if folds else {}), indent=2) + "\n"


def _record(table: Table) -> dict[str, Any]:
    return {
        "metric": table.metric.name,
        **({} if table.metric.target is None else {"target": table.metric.target}),
        "data": table.data,
        "data_fingerprint": table.data_fingerprint,
        "classes": table.classes,
        "test_clips": table.test_clips,
        "test_speakers": table.test_speakers,
        "recipes_judged": table.recipes_judged,
        "clips_alone": table.clips_alone,
        "optimism": table.optimism,
        **{condition: table.conditions.get(condition) for condition in _CONDITIONS},
        **{rule: table.conditions.get(rule) for rule in _RULES if _has(table, rule)},
        "caption": table.caption,
        "notes": table.notes,
        "tested": table.tested,
        "cells": [_finite(dataclasses.asdict(cell)) | _beside(table, cell) for cell in table.cells],
        **({"paper": _of_paper(table.paper)} if table.paper else {}),
    }


def _beside(table: Table, cell: Cell) -> dict[str, Any]:
    """What a leaderboard says of a cell's recipe, and its values but for those that say where it was trained."""
    if not (beside := table.beside.get(cell.row)):
        return {}
    own = {each.name for each in own_options() if each.role or each.bits}
    values = {name: value for name, value in beside.recipe.values.items() if value is not None and name not in own}
    return {**{name: getattr(beside, name) for name in _BESIDE}, "recipe": values}


def _of_paper(paper: Paper) -> dict[str, Any]:
    """A publication's figures and claims, with the verdict on each claim and each part of it, and why."""
    claims = [
        {
            **dataclasses.asdict(claim),
            "verdict": claim.verdict,
            "why": claim.why,
            "evidence": [_of_part(each) for each in claim.evidence],
        }
        for claim in paper.claims
    ]
    return {**dataclasses.asdict(paper), "claims": claims, "remarks": paper.remarks}


def _of_part(part: Evidence) -> dict[str, Any]:
    return {**dataclasses.asdict(part), "seeds_to_tell": part.seeds_to_tell, "verdict": part.verdict, "why": part.why}


def _finite(value: Any) -> Any:
    """The value with null for infinities (a metric that was not reached), which JSON cannot express."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and math.isinf(value) else value


FORMATS: dict[str, Callable[..., str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
    "json": as_json,
}
