"""The command line for tests: a command's output, its one sentence where it must fail, and a run that takes no time."""

from __future__ import annotations

import io
import json
import re
import shutil
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from typer.main import get_command

from kws.cli import app
from kws.registry.copying import copy_all
from kws.registry.location import Location, ServerUrl
from kws.registry.reader import RegistryReader

TRAIN = ["train", "--arch", "cnn", "--maps", "2,1", "--opt", "adam", "--batch-size", "16", "--threads", "1"]
TABLES = (
    "data",
    "trainings",
    "sources",
    "splits",
    "manifests",
    "tests",
    "checkpoints",
    "epochs",
    "evaluations",
    "logits",
    "sessions",
    "tags",
    "weights",
)
PROGRAM = get_command(app)  # once: it takes twice as long as most commands


@dataclass
class Result:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


def kws(*arguments: object) -> Result:
    """What a command does; an exception that it should have turned into a sentence comes through."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            PROGRAM.main([typed(argument) for argument in arguments], prog_name="kws")
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Result(code, out.getvalue(), err.getvalue())


def typed(argument: object) -> str:
    """An argument as it is typed."""
    return argument.in_full() if isinstance(argument, ServerUrl) else str(argument)


def ok(*arguments: object) -> str:
    """The stdout of a command that must succeed."""
    result = kws(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def ok_json(*arguments: object) -> Any:
    """What a command that must succeed says as JSON."""
    return json.loads(ok(*arguments, "--json"))


def refused(*arguments: object, code: int = 1) -> str:
    """The one sentence of a command that must fail."""
    result = kws(*arguments)
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line]
    assert [line.startswith("kws: ") for line in lines] == [True], lines
    return lines[0]


def sql(path: Location, *statements: str, values: tuple | dict = ()) -> list[tuple]:
    """What another program does to the registry, foreign keys or not; the rows of the last statement."""
    rows: list[tuple] = []
    if isinstance(path, ServerUrl):
        with connect(path) as server:
            for statement in statements:
                done = server.execute(spoken(path, statement, has_values=bool(values)), values or None)
                rows = done.fetchall() if done.description else []
        return rows
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            rows = connection.execute(statement, values).fetchall()
        return rows


def recipe_with(before: str, after: str) -> str:
    """A statement that puts something else into every recipe's JSON."""
    return f"UPDATE trainings SET recipe_json = replace(recipe_json, '{before}', '{after}')"


def dump(path: Location) -> dict[str, list[tuple]]:
    """Every row of every table; not what a file's log is known by, which each process writes anew."""
    if isinstance(path, ServerUrl):
        with connect(path) as server:
            return {table: server.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
    with closing(sqlite3.connect(path)) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'log_base'")
        tables = [row[0] for row in named]
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


def state(path: Location) -> object:
    """All that must be as it was where nothing may have changed: a file's bytes, a server's rows."""
    return dump(path) if isinstance(path, ServerUrl) else path.read_bytes()


def refuse(path: Location, table: str) -> None:
    """Let whoever inserts into a table be told that it was stopped, until allow()."""
    if isinstance(path, ServerUrl):
        body = "BEGIN RAISE EXCEPTION 'stopped'; END"
        sql(
            path,
            f"CREATE OR REPLACE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE TRIGGER stop BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION stop()",
        )
    else:
        sql(path, f"CREATE TRIGGER stop BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'stopped'); END")


def allow(path: Location, table: str) -> None:
    """Let a table be written again."""
    sql(path, f"DROP TRIGGER stop ON {table}" if isinstance(path, ServerUrl) else "DROP TRIGGER stop")


def clone(source: Location, target: Location) -> Location:
    """The same registry at another place, which is returned."""
    if isinstance(source, ServerUrl):
        with RegistryReader(source) as registry, registry.reading() as there:
            copy_all(there, target, source=source)
    else:
        shutil.copy(source, target)
    return target


def connect(url: ServerUrl) -> Any:
    """A connection of another program to a server, which keeps nothing of what fails, and no foreign key."""
    import psycopg

    connection = psycopg.connect(**url.options())
    connection.execute("SELECT set_config('search_path', %s, true)", (url.search_path,))  # of this transaction alone
    connection.execute("SET LOCAL session_replication_role = replica")
    return connection


def spoken(path: Location, statement: str, *, has_values: bool = False) -> str:
    """A statement of SQLite's as the registry's database has it."""
    if not isinstance(path, ServerUrl):
        return statement
    statement = re.sub(r"\bchar\(", "chr(", statement.replace("9e999", "'Infinity'::float8"))
    statement = re.sub(r"\bx'([0-9a-f]*)'", r"'\\x\1'::bytea", statement)
    return statement.replace("%", "%%").replace("?", "%s") if has_values else statement
