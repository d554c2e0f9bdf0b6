"""Copies runs, or a whole registry, from one registry into another, file or server; run ids stay the same.

Rows are copied by column name, together with the data sets that they need. A registry from elsewhere may contain
anything: everything imported must be readable, have the types that a run has, and an id that can be typed. Otherwise
nothing is imported.

A copy of a whole registry is one transaction, and is verified: both sides are read back, each from one snapshot, and
compared by one SHA-256 a table over all rows. Integer keys differ between registries, so rows are identified by their
run's id and ordered by their natural keys. Every value is hashed with its type, a number to its last bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import RegistryError
from kws.registry import decoding, encoding, entries, pseudonyms, sources, state_files
from kws.registry.location import Location
from kws.registry.new_files import new_file
from kws.registry.opening import open_database
from kws.registry.protocols import Connection, Row, Writing, among, columns
from kws.registry.queries import is_of_the_place, reason, refusals
from kws.registry.reader import RegistryReader
from kws.registry.runs import STATUSES, Run
from kws.registry.schema import BELONGINGS, OF_DATA, TABLES, TRUTHS
from kws.registry.selection import Selection

_LONGEST_ID = 32
_AT_ONCE = 20  # runs that are in memory at once, but for what may be large
_LARGE = ("weights", "checkpoints")
_SMALL = tuple(table for table in BELONGINGS if table not in _LARGE)
_SOURCES = "SELECT sha256 FROM sources ORDER BY sha256"
Rows = list[dict[str, Any]]


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
    for some in _parts(run_ids):
        there_already = {row["id"] for row in _among(here, "SELECT id FROM trainings", "id", some)}
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
        for table in _SMALL:
            pairs = zip(keys, runs, strict=True)
            entries.insert_all(here, table, [row | {"run_key": key} for key, (_, of, _) in pairs for row in of[table]])
        for key, (run, _, _) in zip(keys, runs, strict=True):
            for table in _LARGE:
                with _naming(source):
                    rows = _large(there, table, columns_here[table], run["key"], run["id"], files=files)
                entries.insert_all(here, table, [row | {"run_key": key} for row in rows])
        put(here, "tests", _rows_among(there, "tests", columns_here["tests"], "run_id", wanted))
        copied += wanted
    return copied, known


@contextmanager
def _naming(source: Location) -> Iterator[None]:
    """Raise RegistryError that names the registry whose rows cannot be read."""
    try:
        yield
    except refusals(*decoding.UNREADABLE, RegistryError) as error:
        if is_of_the_place(error):
            raise RegistryError(f"{source} could not be read ({reason(error)}); try again") from None
        raise RegistryError(f"{source} is no whole registry ({reason(error)})") from None


def columns_of(connection: Connection) -> dict[str, list[str]]:
    """The columns of every table."""
    return {table: columns(connection, table) for table in TABLES}


def _read(
    connection: Connection, run_ids: Sequence[str], names: Mapping[str, list[str]], seen: set[str] | None
) -> list[tuple[dict[str, Any], dict[str, Rows], dict[str, Rows]]]:
    """Runs' rows, the rows that belong to each but for large ones, and those of the data sets and sources it needs.

    They have only the columns in `names`. Data sets that were `seen` are left out, and the others are added to them.
    """
    found = _rows_by(connection, "trainings", names["trainings"], "id", run_ids)
    for run_id in run_ids:
        if len(found[run_id]) != 1:
            raise RegistryError(f"it has {len(found[run_id])} runs {run_id!r}")
    keys = [found[run_id][0]["key"] for run_id in run_ids]
    of_keys = {table: _rows_by(connection, table, names[table], "run_key", keys) for table in _SMALL}
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


def _large(
    connection: Connection, table: str, names: Sequence[str], key: int, run_id: str, *, files: bool = True
) -> Rows:
    """A run's weights or checkpoint. One in a file is read from there, for a copy shares no file; not without `files`.

    Raises RegistryError if the file cannot be had, or is damaged.
    """
    found = []
    for row in connection.execute(f"SELECT * FROM {table} WHERE run_key = :key", {"key": key}):  # noqa: S608 - ours
        there = row.keys()
        made = _row(row, [name for name in names if name in there])  # an older one may lack the URL
        if files and state_files.url_of(row):
            made["safetensors"] = state_files.whole(row, run_id)
            made.pop("url", None)
        found.append(made)
    return found


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


def read_rows(connection: Connection, table: str, names: Sequence[str], where: str, value: Any) -> Rows:
    """Rows of a table as dicts by column name; booleans, which SQLite stores as 0 and 1, as bool."""
    select = f"SELECT * FROM {table} WHERE {where} = :value"  # noqa: S608 - our names
    return [_row(row, names) for row in connection.execute(select, {"value": value})]


def _rows_among(connection: Connection, table: str, names: Sequence[str], column: str, keys: Sequence[Any]) -> Rows:
    """read_rows() of which a column has one of these values."""
    return [_row(row, names) for row in _among(connection, f"SELECT * FROM {table}", column, keys)]  # noqa: S608


def _rows_by(
    connection: Connection, table: str, names: Sequence[str], column: str, keys: Sequence[Any]
) -> defaultdict[Any, Rows]:
    """The same by the value of that column."""
    found = defaultdict[Any, Rows](list)
    for row in _rows_among(connection, table, names, column, keys):
        found[row[column]].append(row)
    return found


def _among(connection: Connection, select: str, column: str, keys: Sequence[Any]) -> Iterator[Row]:
    for where, about in among(column, keys):
        yield from connection.execute(f"{select} {where}", about)


def _row(row: Row, names: Sequence[str]) -> dict[str, Any]:
    made = {name: row[name] for name in names}
    for name in TRUTHS:
        if made.get(name) in (0, 1):
            made[name] = bool(made[name])
    return made


def _parts(run_ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(run_ids)
    while some := list(dict.fromkeys(itertools.islice(left, _AT_ONCE))):
        yield some


def put(connection: Connection, table: str, rows: Rows) -> None:
    """Insert the rows that are not there yet."""
    if rows:
        names, places = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING", rows)  # noqa: S608


Track = Callable[[Iterable[str], int, str], Iterable[str]]  # (items, how many, what is being done) -> items
_NATURAL = ("epoch", "session", "tag", "data_fingerprint", "split", "fingerprint", "split_fingerprint", "tested_at")


@dataclass(frozen=True, kw_only=True)
class Digest:
    """A registry's contents: number of rows and SHA-256 in hexadecimal, by table."""

    rows: dict[str, int]
    tables: dict[str, str]

    @property
    def whole(self) -> str:
        """The SHA-256 of all tables together."""
        return hashlib.sha256("".join(f"{name} {self.tables[name]}\n" for name in self.tables).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The ids that a copy copied or already found, and the contents of both sides after it."""

    copied: list[str]
    known: list[str]
    source: Digest
    target: Digest

    @property
    def differing(self) -> list[str]:
        """The tables whose rows differ between the two sides."""
        return [table for table, digest in self.source.tables.items() if digest != self.target.tables[table]]


def _untracked(items: Iterable[str], _: int, __: str) -> Iterable[str]:
    return items


def copy_registry(source: Location, target: Location, *, track: Track = _untracked) -> Copy:
    """Copy every run and data set of one registry into another that is new or has no other runs.

    Raises RegistryError if the target has other runs, or if either cannot be read or written.
    """
    with closing(open_database(source, create=False)) as of, of.reading() as there:
        copied, known = copy_all(there, target, source=source, track=track)
        with closing(open_database(target, create=False)) as to, to.reading() as here:
            return Copy(
                copied=copied,
                known=known,
                source=digest(there, track=track, what="reading the one"),
                target=digest(here, track=track, what="reading the other"),
            )


def copy_all(
    there: Connection, target: Location, *, source: Location, track: Track = _untracked, files: bool = True
) -> tuple[list[str], list[str]]:
    """Copy everything in one registry into another; returns the run ids copied and those already there.

    Without `files`, weights and checkpoints that are in files stay there.
    """
    ids = [row["id"] for row in there.execute("SELECT id FROM trainings ORDER BY key")]
    with closing(open_database(target, create=True)) as to, to.writing() as here:
        others = {row["id"] for row in here.execute("SELECT id FROM trainings")} - set(ids)
        if others:
            raise RegistryError(
                f"{target} has {len(others)} run{'' if len(others) == 1 else 's'} that {source} has not, such as "
                f"{min(others)}; copy into a new registry, or add runs to that one by `kws runs import`"
            )
        names = columns_of(here)
        for table, key in OF_DATA.items():
            for row in there.execute("SELECT fingerprint FROM data ORDER BY fingerprint").fetchall():
                put(here, table, read_rows(there, table, names[table], key, row["fingerprint"]))
        for row in there.execute(_SOURCES).fetchall():
            put(here, "sources", read_rows(there, "sources", names["sources"], "sha256", row["sha256"]))
        for some in _parts(row["run_id"] for row in there.execute("SELECT DISTINCT run_id FROM tests").fetchall()):
            put(here, "tests", _rows_among(there, "tests", names["tests"], "run_id", some))  # also of purged runs
        return copy_runs(there, here, track(ids, len(ids), "copying"), source=source, files=files)


def digest(connection: Connection, *, track: Track = _untracked, what: str = "reading") -> Digest:
    """The contents of a registry in the connection's snapshot; weights are in memory one run at a time."""
    names = columns_of(connection)
    hashes = {table: hashlib.sha256() for table in names}
    counts = dict.fromkeys(names, 0)

    def take(table: str, rows: Rows, run_id: str = "") -> None:
        kept = sorted(set(names[table]) - {"key", "run_key", "url"})  # what is in a file is read from there
        order = [name for name in _NATURAL if name in kept]
        for row in sorted(rows, key=lambda row: [row[name] for name in order]):
            hashes[table].update(_plain(run_id) + b"".join(_plain(name) + _plain(row[name]) for name in kept))
            counts[table] += 1

    for row in connection.execute("SELECT fingerprint FROM data ORDER BY fingerprint").fetchall():
        for table, key in OF_DATA.items():
            take(table, read_rows(connection, table, names[table], key, row["fingerprint"]))
    for row in connection.execute(_SOURCES).fetchall():
        take("sources", read_rows(connection, "sources", names["sources"], "sha256", row["sha256"]))
    for some in _parts(sorted(row["run_id"] for row in connection.execute("SELECT DISTINCT run_id FROM tests"))):
        tests = _rows_by(connection, "tests", names["tests"], "run_id", some)
        for run_id in some:
            take("tests", tests[run_id])
    keys = {row["id"]: row["key"] for row in connection.execute("SELECT id, key FROM trainings")}
    for some in _parts(track(sorted(keys), len(keys), what)):
        runs = _rows_by(connection, "trainings", names["trainings"], "id", some)
        of_some = [keys[run_id] for run_id in some]
        of_keys = {table: _rows_by(connection, table, names[table], "run_key", of_some) for table in _SMALL}
        for run_id in some:
            take("trainings", runs[run_id], run_id)
            for table in _SMALL:
                take(table, of_keys[table][keys[run_id]], run_id)
            for table in _LARGE:
                take(table, _large(connection, table, names[table], keys[run_id], run_id), run_id)
    return Digest(rows=counts, tables={table: found.hexdigest() for table, found in hashes.items()})


def _plain(value: Any) -> bytes:
    """A value as bytes that are unique to it."""
    if value is None:
        kind, data = b"n", b""
    elif isinstance(value, bool | int):
        kind, data = b"i", str(int(value)).encode()
    elif isinstance(value, float):
        kind, data = b"f", struct.pack("<d", value)
    elif isinstance(value, str):
        kind, data = b"s", value.encode("utf-8", "surrogatepass")
    else:
        kind, data = b"b", bytes(value)
    return kind + struct.pack("<Q", len(data)) + data
