"""The view `runs`: every training with its recipe as columns, generated from the existing options.

A recipe is one JSON text in the table `trainings`. Queries need columns, under the options' names and under those of
version 0.1.0. The view is created with the registry, and again by the first run after an option was added. `--where`
builds the same columns itself, because it must always know every option.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from kws.recipe import KINDS, NETWORK, Option, bases, every_option, parts_now, plain
from kws.recipe.config import NEVER
from kws.registry import sources
from kws.registry.protocols import Connection, columns

COLUMNS = (
    "key", "id", "status", "error", "name", "note", "started_at", "ended_at", "parameters", "multiply_accumulates",
    "data_fingerprint", "rerun_of", "deleted_at", "epochs_done", "milliseconds", "validation_accuracy", "test_accuracy",
    "recipe_json", "recipe_digest", "cell_digest",
    "kws_version", "python_version", "torch_version", "platform", "cpu", "instruction_set", "git_commit", "git_dirty",
    "command",
)  # fmt: skip
_TAKEN = {*COLUMNS, "source"}  # which --where has of a run's data
_DECLARED = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('runs') AND attnum > 0 AND NOT attisdropped
"""
_CHANGEABLE = """
SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relowner, relnamespace, 'CREATE') AND NOT EXISTS (
    SELECT FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid
    WHERE refobjid = pg_class.oid AND classid = 'pg_rewrite'::regclass AND ev_class <> pg_class.oid
) FROM pg_class WHERE oid = to_regclass('runs')
"""
_GRANTS = """
SELECT concat('ALTER VIEW runs OWNER TO ', quote_ident(pg_get_userbyid(relowner)))
FROM pg_class WHERE oid = to_regclass('runs') AND pg_get_userbyid(relowner) <> current_user
UNION ALL
SELECT concat(
    'GRANT ', privilege_type, ' ON runs TO ',
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END
) FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass('runs') AND grantee <> relowner
"""
_TYPES = {int: "BIGINT", float: "DOUBLE PRECISION", bool: "BOOLEAN"}


def create(connection: Connection) -> None:
    """Create the view."""
    connection.execute(statement(connection))


def for_queries(connection: Connection) -> None:
    """Make queries of a file see the current view, by a temporary view of the connection.

    The view stored in a file is not trusted to call functions, because the file may come from elsewhere. A connection's
    own temporary view is trusted.
    """
    if not is_server(connection):
        connection.execute(statement(connection).replace("CREATE VIEW runs", "CREATE TEMP VIEW IF NOT EXISTS runs"))


def statement(connection: Connection) -> str:
    """The SQL that creates the view, in the connection's dialect."""
    own = ", ".join(f'"{name}"' for name in COLUMNS)
    recipe = ", ".join(f'{sql} AS "{name}"' for name, sql in _columns_with_own(connection).items())
    return f"CREATE VIEW runs AS SELECT {own}, {recipe} FROM trainings"  # noqa: S608 - our names


def require_columns(connection: Connection) -> None:
    """Recreate the view if an option has been added since it was created.

    On a server it stays as it is for who does not own it, and where views of others build on it.
    """
    if _columns_with_own(connection).keys() <= _columns(connection):
        return
    if is_server(connection):
        changeable = connection.execute(_CHANGEABLE).fetchone()
        if changeable is not None and not changeable[0]:
            return
    rights = grants(connection)
    connection.execute("DROP VIEW IF EXISTS runs")
    create(connection)
    for grant in rights:
        connection.execute(grant)


def grants(connection: Connection) -> list[str]:
    """The SQL that gives the view to its owner, and others the rights on it that they have now."""
    return [row[0] for row in connection.execute(_GRANTS).fetchall()] if is_server(connection) else []


def _columns(connection: Connection) -> set[str]:
    """The view's columns: of a server's, which not everybody may read, as it is declared; of a file's, by its SQL."""
    if is_server(connection):
        return {row[0] for row in connection.execute(_DECLARED).fetchall()}
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = 'runs'").fetchone()
    return set(re.findall(r' AS "(\w+)"', found[0])) if found else set()


def is_server(connection: Connection) -> bool:
    """Whether the connection uses PostgreSQL's dialect rather than SQLite's."""
    return not isinstance(connection, sqlite3.Connection)


def recipe_columns(server: bool) -> Mapping[str, str]:
    """The SQL for each value of a recipe, by name; tuples are JSON arrays."""
    return _recipe_columns(server, parts_now())


@lru_cache(8)  # every run that begins asks for them
def _recipe_columns(server: bool, _: tuple[Any, ...]) -> Mapping[str, str]:
    found = {kind.option: _value(server, str, kind.name, "name") for kind in KINDS if not kind.several}
    for name, each in every_option().items():
        found[name] = _with_absent(server, name, each)
    for each in every_option().values():
        if each.old:  # the old column of a tuple was NULL for its default
            usual = f"'{json.dumps(each.default)}'"
            found[each.old] = f"NULLIF({found[each.name]}, {usual})" if each.base is tuple else found[each.name]
    return found


def _columns_with_own(connection: Connection) -> dict[str, str]:
    """The same, and the options of the networks of the user's own that the registry has: what their recipes' JSON says.

    Their sources, which declare them, are not run.
    """
    found = {name: sql for name, sql in recipe_columns(is_server(connection)).items() if name not in _TAKEN}
    types: dict[str, set[type]] = {}
    if connection.execute("SELECT 1 FROM sources LIMIT 1").fetchone():
        for (recipe_json,) in connection.execute(_OWN).fetchall():
            for name, value in sources.options_in(recipe_json).items():
                types.setdefault(name, set()).add(type(value))
    for name, kinds in types.items():
        if name not in found and name not in _TAKEN:
            found[name] = _value(is_server(connection), _widest(kinds - {type(None)}), NETWORK.name, name)
    return found


_OWN = """SELECT DISTINCT recipe_json FROM trainings WHERE recipe_json LIKE '%"sha256":%'"""


def _widest(kinds: set[type]) -> type:
    """The type that holds values of all these types of JSON."""
    if kinds <= {int, float}:
        return float if float in kinds else int
    return {bool: bool, list: tuple}.get(next(iter(kinds)), str) if len(kinds) == 1 else str


def _with_absent(server: bool, name: str, option: Option) -> str:
    """The SQL for an option's value; for a run older than the option, the value that its part declares for that."""
    places: list[tuple[tuple[str, ...], str, Option]] = []
    for kind in KINDS:
        for part in kind.parts.values():
            if each := part.options.get(name):
                path = (kind.name, part.name, name) if kind.several else (kind.name, name)
                places.append((path, "" if kind.several else part.name, each))
    places = places or [((name,), "", option)]
    widest = bases(name)[-1]  # of a name that parts give different types
    value = _value(server, widest, *places[0][0])
    cases = [
        f"WHEN {_is_missing(server, *path)}{_is_part(server, path[0], of)} THEN {_literal(each.absent)}"
        for path, of, each in places
        if each.absent is not NEVER
    ]
    return f"CASE {' '.join(cases)} ELSE {value} END" if cases else value


def _value(server: bool, kind: type, *path: str) -> str:
    value = (
        f"(CAST(recipe_json AS json) #>> '{{{','.join(path)}}}')"
        if server
        else f"json_extract(recipe_json, '{_path(path)}')"
    )
    if kind is tuple:  # as Python formats it; the items themselves contain no commas
        value = f"replace({value}, ',', ', ')"
    if not server:
        return value
    return f'{value} COLLATE "C"' if kind in (str, tuple) else f"CAST({value} AS {_TYPES[kind]})"


def _is_missing(server: bool, *path: str) -> str:
    if not server:
        return f"json_type(recipe_json, '{_path(path)}') IS NULL"
    return f"(CAST(recipe_json AS json) #> '{{{','.join(path)}}}') IS NULL"


def _is_part(server: bool, kind: str, part: str) -> str:
    return f" AND {_value(server, str, kind, 'name')} = '{part}'" if part else ""


def _path(path: tuple[str, ...]) -> str:
    return "$" + "".join(f'."{name}"' for name in path)


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    return plain(value) if isinstance(value, int | float) else "'" + plain(value).replace("'", "''") + "'"


def select(connection: Connection) -> Iterator[tuple[str, str]]:
    """(name, SQL) of each column of the view, from the table's present columns; quotes in names are doubled."""
    for name in columns(connection, "trainings"):
        quoted = name.replace('"', '""')
        yield quoted, f'"{quoted}"'
    own = columns(connection, "trainings")
    yield from ((name, sql) for name, sql in _columns_with_own(connection).items() if name not in own)
