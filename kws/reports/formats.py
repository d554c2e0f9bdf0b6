"""Table 1 as text: Markdown, LaTeX, CSV and JSON. The same registry gives the same bytes.

A cell with several seeds says its mean and their number; the best is bold.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

from kws.reports.metrics import Metric
from kws.reports.table1 import Cell, Table

SCHEMA = 1
_CONDITIONS = ("epochs", "batch_size", "precision", "selection")


def cell_text(metric: Metric, cell: Cell | None) -> str:
    """A cell as tables print it: mean, deviation over the seeds, 95 % interval, n, and = for a tie with the best."""
    if cell is None:
        return "-"
    text = metric.text(cell.mean)
    if cell.std is not None:
        text += f" \u00b1 {metric.bare(cell.std)}"
    about = []
    if cell.low is not None and cell.high is not None:
        about.append(f"{metric.bare(cell.low)} to {metric.bare(cell.high)}")
    if cell.n > 1:
        about.append(f"n = {cell.n}")
    text += f" ({', '.join(about)})" if about else ""
    return f"{text} =" if cell.tie else text


def markdown(tables: list[Table]) -> str:
    """Pipe tables, each under its caption."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    lines = [f"{_escape_markdown(table.caption)}", ""]
    lines.append("| | " + " | ".join(map(_escape_markdown, table.columns)) + " |")
    lines.append("| --- |" + " --- |" * len(table.columns))
    for row in table.rows:
        cells = [table.cell(row, column) for column in table.columns]
        texts = [
            f"**{cell_text(table.metric, cell)}**" if cell and cell.best else cell_text(table.metric, cell)
            for cell in cells
        ]
        lines.append(f"| {_escape_markdown(row)} | " + " | ".join(texts) + " |")
    lines += ["", *(f"Note: {_escape_markdown(note)}." for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\|*_`<>[]" else letter for letter in " ".join(text.split()))


def latex(tables: list[Table]) -> str:
    """A table environment each, with booktabs rules; pandas writes it."""
    return "\n".join(_latex(table, number) for number, table in enumerate(tables, start=1))


def _latex(table: Table, number: int) -> str:
    import pandas as pd

    def text(row: str, column: str) -> str:
        cell = table.cell(row, column)
        escaped = cell_text(table.metric, cell).replace(" %", r"\,\%").replace("\u00b1", r"$\pm$")
        return rf"\textbf{{{escaped}}}" if cell and cell.best else escaped

    frame = pd.DataFrame(
        [[text(row, column) for column in table.columns] for row in table.rows],
        index=[_escape_latex(row) for row in table.rows],
        columns=[_escape_latex(column) for column in table.columns],
    )
    return frame.style.to_latex(
        hrules=True,
        position="htbp",
        position_float="centering",
        column_format="l" + "r" * len(table.columns),
        caption=_escape_latex(" ".join([table.caption, *(f"Note: {note}." for note in table.notes)])),
        label=f"tab:kws-{number}",
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))


def comma_separated(tables: list[Table]) -> str:
    """A line a cell, percent as fractions."""
    lines = [_line(["metric", "data", "data_fingerprint", *_CONDITIONS, *_fields()])]
    for table in tables:
        about = [table.metric.name, table.data, table.data_fingerprint, *map(table.conditions.get, _CONDITIONS)]
        for cell in table.cells:
            values = dataclasses.asdict(cell)
            lines.append(_line([*about, *(_joined(values[field]) for field in _fields())]))
    return "".join(lines)


def _joined(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def _line(values: list[Any]) -> str:
    """A record and a newline. csv quotes only the line breaks that it ends records with, so it ends them with both."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(values)
    return out.getvalue().removesuffix("\r\n") + "\n"


def _fields() -> list[str]:
    return [field.name for field in dataclasses.fields(Cell)]


def as_json(tables: list[Table]) -> str:
    """{"schema": 1, "tables": [...]}, accuracies as fractions."""
    return json.dumps({"schema": SCHEMA, "tables": [_record(table) for table in tables]}, indent=2) + "\n"


def _record(table: Table) -> dict[str, Any]:
    return {
        "metric": table.metric.name,
        "data": table.data,
        "data_fingerprint": table.data_fingerprint,
        "test_clips": table.test_clips,
        **{condition: table.conditions.get(condition) for condition in _CONDITIONS},
        "caption": table.caption,
        "notes": table.notes,
        "tested": table.tested,
        "cells": [dataclasses.asdict(cell) for cell in table.cells],
    }


FORMATS: dict[str, Callable[[list[Table]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
    "json": as_json,
}
