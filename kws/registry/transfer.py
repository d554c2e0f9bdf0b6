"""Runs from one registry into another, ids kept: rows by their columns' names, with the data sets that they need.

A registry from elsewhere may hold anything. What is taken in must be readable, of the types that a run has, and under
an id that can be typed; otherwise nothing is taken in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from kws.errors import RegistryError
from kws.registry.location import Location
from kws.registry.new_files import new_file
from kws.registry.opening import open_database
from kws.registry.protocols import Connection, columns
from kws.registry.queries import is_of_the_place, reason, refusals
from kws.registry.reader import RegistryReader
from kws.registry.runs import STATUSES, Run
from kws.registry.schema import BELONGINGS, OF_DATA, TABLES, TRUTHS
from kws.registry.selection import Selection

_LONGEST_ID = 32
Rows = list[dict[str, Any]]


def export(path: Location, run_ids: Sequence[str], to: Path) -> None:
    """Make a new registry at `to` that holds these runs. Raises RegistryError where there is something already."""
    with new_file(to) as temporary:
        _copy(path, temporary, run_ids)


def take_in(path: Location, source: Location) -> tuple[list[str], list[str]]:
    """Copy every run of the registry `source` into that at `path`; returns the ids copied and those already there.

    Raises RegistryError where a run of the source cannot be read, and then copies none.
    """
    with RegistryReader(source) as registry, registry.reading() as connection:
        for run in (*registry.runs(), *registry.runs(Selection(deleted=True))):
            _require_sound(registry, run)
        order = [row["id"] for row in connection.execute("SELECT id FROM trainings ORDER BY key")]
    return _copy(source, path, order)


def _require_sound(registry: RegistryReader, run: Run) -> None:
    """Raise RegistryError where a run of a registry from elsewhere is not what a run can be."""
    if not (run.id.isascii() and run.id.isalnum() and len(run.id) <= _LONGEST_ID and run.status in STATUSES):
        raise RegistryError(f"{registry.path} is damaged: run {run.id!r} has an id or a status that cannot be")
    registry.card(run.data_fingerprint)
    for card, evaluation in registry.evaluations(run.id):
        registry.logits(run.id, card.fingerprint, evaluation.split)
    registry.epochs(run.id)
    registry.checkpoint(run.id)
    if registry.weights_digest(run.id) is not None:
        registry.weights(run.id)


def _copy(source: Location, target: Location, run_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    with (
        closing(open_database(source, create=False)) as of,
        closing(open_database(target, create=True)) as to,
        of.reading() as there,
        to.writing() as here,
    ):
        return copy_runs(there, here, run_ids, source=source)


def copy_runs(
    there: Connection, here: Connection, run_ids: Iterable[str], *, source: Location
) -> tuple[list[str], list[str]]:
    """Copy runs from one registry into another, one after the other; returns the ids copied and those already there."""
    copied, known = [], []
    names = columns_of(here)
    for run_id in run_ids:
        if here.execute("SELECT 1 FROM trainings WHERE id = :id", {"id": run_id}).fetchone():
            known.append(run_id)
            continue
        try:
            run, belongings, data = _read(there, run_id, names)
        except refusals(IndexError, RegistryError) as error:
            if is_of_the_place(error):
                raise RegistryError(f"{source} could not be read ({reason(error)}); try again") from None
            raise RegistryError(f"{source} is no whole registry ({reason(error)})") from None
        for table, rows in data.items():
            put(here, table, rows)
        key = _put_run(here, run)
        for table, rows in belongings.items():
            put(here, table, [row | {"run_key": key} for row in rows])
        put(here, "tests", read_rows(there, "tests", names["tests"], "run_id", run_id))
        copied.append(run_id)
    return copied, known


def columns_of(connection: Connection) -> dict[str, list[str]]:
    """The columns of every table."""
    return {table: columns(connection, table) for table in TABLES}


def _read(
    connection: Connection, run_id: str, names: Mapping[str, list[str]]
) -> tuple[dict[str, Any], dict[str, Rows], dict[str, Rows]]:
    """A run's row, the rows that hang on it, and those of the data sets that it needs; our columns of each."""

    def select(table: str, where: str, value: Any) -> Rows:
        return read_rows(connection, table, names[table], where, value)

    found = select("trainings", "id", run_id)
    if len(found) != 1:
        raise RegistryError(f"it has {len(found)} runs {run_id!r}")
    (run,) = found
    belongings = {table: select(table, "run_key", run["key"]) for table in BELONGINGS}
    if None in (run["id"], run["data_fingerprint"]):
        raise RegistryError("a run without an id or data cannot be copied")
    needed = sorted({run["data_fingerprint"], *(row["data_fingerprint"] for row in belongings["evaluations"])})
    data = {
        table: [row for fingerprint in needed for row in select(table, key, fingerprint)]
        for table, key in OF_DATA.items()
    }
    if len(data["data"]) < len(needed):
        raise RegistryError(f"run {run_id} was on data that is not in its registry, and cannot be copied")
    return run, belongings, data


def read_rows(connection: Connection, table: str, names: Sequence[str], where: str, value: Any) -> Rows:
    """Rows of a table, by their columns' names; truth values, which SQLite keeps as 0 and 1, as what they are."""
    select = f"SELECT * FROM {table} WHERE {where} = :value"  # noqa: S608 - our names
    found = [{name: row[name] for name in names} for row in connection.execute(select, {"value": value})]
    for row in found:
        for name in TRUTHS:
            if row.get(name) in (0, 1):
                row[name] = bool(row[name])
    return found


def put(connection: Connection, table: str, rows: Rows) -> None:
    """Insert those of these rows that are not there yet."""
    if rows:
        names, places = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", rows)  # noqa: S608


def _put_run(connection: Connection, run: dict[str, Any]) -> int:
    """Insert a run; returns the key that it has here."""
    row = {name: value for name, value in run.items() if name != "key"}
    names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    (made,) = connection.execute(f"INSERT INTO trainings ({names}) VALUES ({places}) RETURNING key", row).fetchall()  # noqa: S608
    return int(made["key"])
