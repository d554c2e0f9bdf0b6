"""The columns of a list of runs, and the order of its rows: the newest first unless another column is asked for.

A column is one entry of COLUMNS: what it shows, what it sorts by, and when a narrow terminal leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kws.errors import RegistryError
from kws.recipe.wording import percent
from kws.registry.runs import Run
from kws.reports.labels import data_of

DEFAULT = "started"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column by its name: a run's text, and its value to sort by, None where it is not known."""

    name: str
    text: Callable[[Run], str]
    value: Callable[[Run], Any]
    greatest_first: bool = False
    goes: int = 0  # its place in the order in which columns are left out; 0: it stays


def _name(run: Run) -> str:
    return " ".join([run.name or "", *(f"#{tag}" for tag in run.tags)]).strip()


COLUMNS = (
    Column(name="run", text=lambda run: run.id, value=lambda run: run.id),
    Column(
        name="started",
        text=lambda run: run.started_at[:16].replace("T", " "),
        value=lambda run: run.started_at,
        greatest_first=True,
        goes=9,
    ),
    Column(name="status", text=lambda run: run.status, value=lambda run: run.status),
    Column(
        name="last seen",
        text=lambda run: (run.last_seen or "")[:19].replace("T", " "),
        value=lambda run: run.last_seen,
        greatest_first=True,
        goes=1,
    ),
    Column(name="arch", text=lambda run: run.recipe.arch, value=lambda run: run.recipe.arch, goes=8),
    Column(name="opt", text=lambda run: run.recipe.opt, value=lambda run: run.recipe.opt, goes=7),
    Column(name="seed", text=lambda run: str(run.recipe.seed), value=lambda run: run.recipe.seed, goes=6),
    Column(
        name="epochs",
        text=lambda run: f"{run.epochs_done}/{run.recipe.epochs}",
        value=lambda run: run.epochs_done,
        greatest_first=True,
        goes=3,
    ),
    Column(
        name="validation",
        text=lambda run: percent(run.validation_accuracy),
        value=lambda run: run.validation_accuracy,
        greatest_first=True,
        goes=5,
    ),
    Column(
        name="test",
        text=lambda run: percent(run.test_accuracy),
        value=lambda run: run.test_accuracy,
        greatest_first=True,
    ),
    Column(name="data", text=data_of, value=data_of, goes=2),
    Column(name="name", text=_name, value=lambda run: _name(run) or None, goes=4),
)


def in_order(runs: Sequence[Run], by: str = DEFAULT) -> list[Run]:
    """The runs sorted by a column: times and figures from the greatest, words from A; "-" before it reverses that.

    Runs without a value come last, and among equal ones the newest first. Raises RegistryError for no column's name.
    """
    name = by.removeprefix("-").strip().lower()
    column = next((each for each in COLUMNS if each.name == name), None)
    if column is None:
        names = ", ".join(each.name for each in COLUMNS)
        raise RegistryError(f"--sort {by!r} is no column of a list of runs; sort by one of {names}")
    newest = sorted(runs, key=lambda run: (run.started_at, run.id), reverse=True)
    known = [run for run in newest if column.value(run) is not None]
    falls = column.greatest_first != by.startswith("-")
    known = sorted(known, key=column.value, reverse=falls)
    return [*known, *(run for run in newest if column.value(run) is None)]
