"""`kws db`: the registry as a whole, in a file or on a server."""

import math
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kws.cli import options


class Weights(StrEnum):
    """The runs whose weights a copy has."""

    ALL = "all"
    BEST = "best"
    NONE = "none"


app = typer.Typer(
    help="Look after the registry, copy it, and ask it anything.",
    short_help="The registry as a whole",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


@app.command("info")
def info(db: options.Db = options.DEFAULT_DB, json: options.Json = False) -> None:
    """Show the registry's size, schema, and runs by status.

    Example: kws db info
    """
    from kws.registry import maintenance
    from kws.terminal import console, screens

    found = maintenance.info(db)
    if json:
        console.print_json({"schema": 1, **found})
    else:
        screens.print_info(found)


@app.command("doctor")
def doctor(
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Mend what can be. First copies the registry: a file beside itself, a server's into this folder.",
        ),
    ] = False,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Check the registry, and name what is not in order.

    Checked are the file's integrity and foreign keys; that every finished run has all its epochs, its answers on the
    test split, and the accuracy that they make; that weights and checkpoints are what their SHA-256 says and can be
    loaded; and that no run is lost. The exit code is 1 where something is left that is not in order.

    Example: kws db doctor
    """
    from datetime import UTC, datetime

    from kws.registry import doctor as registry_doctor
    from kws.terminal import console

    findings = registry_doctor.examine(db)
    copy, left = None, findings
    if fix and any(finding.fix for finding in findings):
        copy, _ = registry_doctor.mend(db, findings, datetime.now(UTC).isoformat(timespec="milliseconds"))
        left = registry_doctor.examine(db)
    if json:
        console.print_json(
            {
                "schema": 1,
                "found": [{"run": finding.run or None, "problem": finding.problem} for finding in findings],
                "left": [{"run": finding.run or None, "problem": finding.problem} for finding in left],
                "copy": str(copy) if copy else None,
            }
        )
    else:
        for finding in findings:
            subject = f"run {finding.run} " if finding.run else ""
            mended = " (mended)" if finding not in left else " (--fix mends it)" if finding.fix and not fix else ""
            console.tell(f"{subject}{finding.problem}{mended}")
        if not findings:
            console.tell(f"{db} is in order")
        if copy:
            console.say(f"as it was, {db} is kept as {copy}")
    if left:
        raise typer.Exit(1)


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not be there yet.")],
    weights: Annotated[
        Weights,
        typer.Option(help="Whose weights to copy: `best` are those of each recipe's seed that is best in validation."),
    ] = Weights.ALL,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Copy the registry as it is now, while runs write.

    Without weights, or with the best alone, the copy is smaller, for sharing.

    Example: kws db backup copy.db --weights best
    """
    from kws.recipe import counted
    from kws.registry import maintenance
    from kws.terminal import console

    left_out = maintenance.back_up(db, file, weights=weights.value)
    if left_out:
        console.say(f"left out the weights of {counted(left_out, 'run')}")
    typer.echo(file)


@app.command("copy")
def copy(
    source: Annotated[Any, typer.Argument(metavar="FROM", parser=options.place, help="The registry to copy.")],
    target: Annotated[
        Any, typer.Argument(metavar="TO", parser=options.place, help="A new registry, or one that has no other runs.")
    ],
    json: options.Json = False,
) -> None:
    """Copy a whole registry to another place, and prove it.

    Both are a file or a server's URL. Everything is copied, in one transaction: deleted runs, weights, checkpoints,
    logits, tags, notes. Runs that TO has already stay as they are. Then both are read anew, and a digest of every table
    is compared; the exit code is 1 where one differs.

    Example: kws db copy experiments.db postgresql+psycopg://me@server/kws
    """
    from kws.errors import RegistryError
    from kws.recipe import counted
    from kws.registry.copying import copy_registry
    from kws.terminal import console

    def track(items: Iterable[str], total: int, what: str) -> Iterable[str]:
        return console.track(items, total=total, what=what, unit="runs")

    done = copy_registry(source, target, track=track)
    if json:
        console.print_json(
            {
                "schema": 1,
                "from": str(source),
                "to": str(target),
                "copied": done.copied,
                "already_there": done.known,
                "rows": {"from": done.source.rows, "to": done.target.rows},
                "digests": {"from": done.source.tables, "to": done.target.tables},
                "same": not done.differing,
            }
        )
    elif not done.differing:
        held, rows = counted(len(done.copied) + len(done.known), "run"), sum(done.target.rows.values())
        already = f", {len(done.known):,} were already there" if done.known else ""
        console.tell(f"copied {counted(len(done.copied), 'run')}{already}")
        console.tell(f"both hold the same {held} and {rows:,} rows: {done.source.whole}")
    if done.differing:
        raise RegistryError(
            f"{source} and {target} do not hold the same: {', '.join(done.differing)} differ; copy into a new registry"
        )


@app.command("query")
def query(
    sql: Annotated[str, typer.Argument(metavar="SELECT", help="SQL over the tables that docs/registry.md shows.")],
    json: options.Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 10_000,
    seconds: Annotated[
        float, typer.Option(min=0.001, max=86_400, callback=options.number, help="Time at most.")
    ] = 10.0,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Ask the registry by SQL; nothing but reading is possible.

    Example: kws db query "SELECT arch, opt, max(test_accuracy) FROM runs GROUP BY arch, opt"
    """
    from kws.errors import RegistryError
    from kws.registry import queries
    from kws.terminal import console, screens

    if json and csv:
        raise RegistryError("--json and --csv are two forms of one answer; give one of them")
    answer = queries.query(db, sql, seconds=seconds, limit=limit)
    if json:
        values = [[_value(value) for value in row] for row in answer.rows]
        console.print_json({"schema": 1, "columns": answer.columns, "rows": values, "cut": answer.cut})
    elif csv:
        import csv as writer
        import sys

        lines = writer.writer(sys.stdout, lineterminator="\n")
        lines.writerow(answer.columns)
        lines.writerows([[_value(value) for value in row] for row in answer.rows])
    else:
        screens.print_answer(answer)
    if answer.cut:
        console.say(f"note: there are more than {limit:,} rows; --limit shows more")


def _value(value: object) -> object:
    """A value as JSON and CSV can have it: bytes in hexadecimal, nothing for infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value
