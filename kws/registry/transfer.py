"""Copies runs from one registry into another, file or server; run ids stay the same.

Rows are copied by column name, together with the data sets that they need. A registry from elsewhere may contain
anything: everything imported must be readable, have the types that a run has, and an id that can be typed. Otherwise
nothing is imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from kws.errors import RegistryError
from kws.registry import decoding, encoding, entries, pseudonyms, sources
from kws.registry.location import Location
from kws.registry.new_files import new_file
from kws.registry.opening import open_database
from kws.registry.protocols import Connection, Writing
from kws.registry.queries import is_of_the_place, reason, refusals
from kws.registry.reader import RegistryReader
from kws.registry.runs import STATUSES, Run
from kws.registry.schema import OF_DATA
from kws.registry.selection import Selection
from kws.registry.state_files import GoneError, OutOfReachError
from kws.registry.table_rows import (
    LARGE,
    SMALL,
    Rows,
    columns_of,
    in_parts,
    large_rows,
    put,
    read_rows,
    rows_among,
    rows_by,
)

_LONGEST_ID = 32


def export(path: Location, run_ids: Sequence[str], to: Path, *, names: bool = True) -> None:
    """Create a new registry at `to` that holds these runs; without `names`, speakers and clips have pseudonyms.

    Raises RegistryError if something is already there.
    """
    with new_file(to) as temporary:
        _copy(path, temporary, run_ids, names=names)


def take_in(path: Location, source: Location) -> tuple[list[str], list[str]]:
    """Copy every run of the registry `source` into that at `path`; returns the ids copied and those already there.

    Raises RegistryError if a run of the source cannot be read, and then copies none.
    """
    with RegistryReader(source) as registry, registry.reading() as connection:
        for run in (*registry.runs(), *registry.runs(Selection(deleted=True))):
            _require_sound(registry, run)
        order = [row["id"] for row in connection.execute("SELECT id FROM trainings ORDER BY key")]
    return _copy(source, path, order)


def _require_sound(registry: RegistryReader, run: Run) -> None:
    """Raise RegistryError if a run of a registry from elsewhere is not a valid run."""
    if not (run.id.isascii() and run.id.isalnum() and len(run.id) <= _LONGEST_ID and run.status in STATUSES):
        raise RegistryError(f"{registry.path} is damaged: run {run.id!r} has an id or a status that cannot be")
    registry.card(run.data_fingerprint)
    registry.source(run.id)
    for card, evaluation in registry.evaluations(run.id):
        registry.logits(run.id, card.fingerprint, evaluation.split)
    registry.epochs(run.id)
    with suppress(GoneError):  # replaced by a newer one just now, or removed
        registry.checkpoint(run.id)
    if registry.weights_digest(run.id) is not None:
        registry.weights(run.id)


def _copy(
    source: Location, target: Location, run_ids: Sequence[str], *, names: bool = True
) -> tuple[list[str], list[str]]:
    with (
        closing(open_database(source, create=False)) as of,
        closing(open_database(target, create=True)) as to,
        of.reading() as there,
        to.writing() as here,
    ):
        return copy_runs(there, here, run_ids, source=source, names=names)


def copy_runs(
    there: Connection,
    here: Writing,
    run_ids: Iterable[str],
    *,
    source: Location,
    names: bool = True,
    files: bool = True,
) -> tuple[list[str], list[str]]:
    """Copy runs from one registry into another, a few at a time; returns the ids copied and those already there.

    Without `names` they are copied with pseudonyms (kws.registry.pseudonyms); without `files`, weights and checkpoints
    that are in files stay there.
    """
    copied, known = [], []
    columns_here = columns_of(here)
    seen = set[str]() if names else None  # the data sets that were copied
    for some in in_parts(run_ids):
        there_already = {row["id"] for row in rows_among(here, "trainings", ["id"], "id", some)}
        known += [run_id for run_id in some if run_id in there_already]
        wanted = [run_id for run_id in some if run_id not in there_already]
        with _naming(source):
            runs = _read(there, wanted, columns_here, seen)
            if not names:
                runs = [_without_names(*each) for each in runs]
        for _, _, data in runs:
            for table, rows in data.items():
                put(here, table, rows)
        keys = [entries.insert_run(here, {k: value for k, value in run.items() if k != "key"}) for run, _, _ in runs]
        for table in SMALL:
            pairs = zip(keys, runs, strict=True)
            entries.insert_all(here, table, [row | {"run_key": key} for key, (_, of, _) in pairs for row in of[table]])
        for key, (run, _, _) in zip(keys, runs, strict=True):
            for table in LARGE:
                with _naming(source):
                    rows = large_rows(there, table, columns_here[table], run, files=files)
                entries.insert_all(here, table, [row | {"run_key": key} for row in rows])
        put(here, "tests", rows_among(there, "tests", columns_here["tests"], "run_id", wanted))
        copied += wanted
    return copied, known


@contextmanager
def _naming(source: Location) -> Iterator[None]:
    """Raise RegistryError that names the registry whose rows cannot be read."""
    try:
        yield
    except refusals(*decoding.UNREADABLE, RegistryError) as error:
        if is_of_the_place(error) or isinstance(error, OutOfReachError):
            raise RegistryError(f"{source} could not be read ({reason(error)}); try again") from None
        raise RegistryError(f"{source} is no whole registry ({reason(error)})") from None


def _read(
    connection: Connection, run_ids: Sequence[str], names: Mapping[str, list[str]], seen: set[str] | None
) -> list[tuple[dict[str, Any], dict[str, Rows], dict[str, Rows]]]:
    """Runs' rows, the rows that belong to each but for large ones, and those of the data sets and sources it needs.

    They have only the columns in `names`. Data sets that were `seen` are left out, and the others are added to them.
    """
    found = rows_by(connection, "trainings", names["trainings"], "id", run_ids)
    for run_id in run_ids:
        if len(found[run_id]) != 1:
            raise RegistryError(f"it has {len(found[run_id])} runs {run_id!r}")
    keys = [found[run_id][0]["key"] for run_id in run_ids]
    of_keys = {table: rows_by(connection, table, names[table], "run_key", keys) for table in SMALL}
    made = []
    for run_id, key in zip(run_ids, keys, strict=True):
        (run,), belongings = found[run_id], {table: rows[key] for table, rows in of_keys.items()}
        if None in (run["id"], run["data_fingerprint"]):
            raise RegistryError("a run without an id or data cannot be copied")
        needed = {run["data_fingerprint"], *(row["data_fingerprint"] for row in belongings["evaluations"])}
        lacking = sorted(needed - (seen or set()))
        data = {
            table: [row for each in lacking for row in read_rows(connection, table, names[table], column, each)]
            for table, column in OF_DATA.items()
        }
        if len(data["data"]) < len(lacking):
            raise RegistryError(f"run {run_id} was on data that is not in its registry, and cannot be copied")
        if seen is not None:
            seen.update(lacking)
        made.append((run, belongings, data | {"sources": sources.rows_of(connection, run["recipe_json"])}))
    return made


def _without_names(
    run: dict[str, Any], belongings: dict[str, Rows], data: dict[str, Rows]
) -> tuple[dict[str, Any], dict[str, Rows], dict[str, Rows]]:
    """The same rows with pseudonyms. Raises as decoding does for rows that are no data set's."""
    cards, named = {}, {}
    for row in data["data"]:
        at = row["fingerprint"]
        cards[at] = decoding.card(row, [each for each in data["splits"] if each["data_fingerprint"] == at])
        named[at] = {
            each["split"]: decoding.manifest(each, len(cards[at].labels[each["split"]]))
            for each in data["manifests"]
            if each["data_fingerprint"] == at
        }
    manifests = []
    own = run["data_fingerprint"]
    for at, card in cards.items():
        made = pseudonyms.of(card, named[at], (cards[own], named[own]))
        if made is not named[at]:
            manifests += encoding.of_manifests(dataclasses.replace(card, manifests=made))
        else:
            manifests += [each for each in data["manifests"] if each["data_fingerprint"] == at]
    sessions = [pseudonyms.of_session(row) for row in belongings["sessions"]]
    return pseudonyms.of_run(run), belongings | {"sessions": sessions}, data | {"manifests": manifests}
