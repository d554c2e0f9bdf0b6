"""The command line for tests: a command's output, its one sentence where it must fail, and a run that takes no time."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from kws.cli import app

TRAIN = ["train", "--arch", "cnn", "--maps", "2,1", "--opt", "adam", "--batch-size", "16", "--threads", "1"]
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
            PROGRAM.main([str(argument) for argument in arguments], prog_name="kws")
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    return Result(code, out.getvalue(), err.getvalue())


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


def sql(path: Path, *statements: str, values: tuple | dict = ()) -> list[tuple]:
    """What another program does to the file, foreign keys or not; the rows of the last statement."""
    with closing(sqlite3.connect(path)) as connection, connection:
        rows: list[tuple] = []
        for statement in statements:
            rows = connection.execute(statement, values).fetchall()
        return rows


def dump(path: Path) -> dict[str, list[tuple]]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}
