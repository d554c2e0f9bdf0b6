"""`kws compare`: Table 1 from the registry."""

import dataclasses
from enum import StrEnum
from typing import Annotated

import typer

from kws.cli import options
from kws.reports.metrics import NAMES
from kws.reports.table1 import FIELDS


class Format(StrEnum):
    """How the table is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


Metric = StrEnum("Metric", {name: name for name in NAMES})  # type: ignore[misc]
Field = StrEnum("Field", {name: name for name in FIELDS})  # type: ignore[misc]
ARCH, OPT, TEST_ACCURACY = Field("arch"), Field("opt"), Metric("test-accuracy")


def compare(
    rows: Annotated[Field, typer.Option(help="What makes rows: any field of a recipe.", show_choices=False)] = ARCH,
    columns: Annotated[Field, typer.Option(help="What makes columns.", show_choices=False)] = OPT,
    metric: Annotated[Metric, typer.Option(help="What a cell shows.")] = TEST_ACCURACY,
    reach: Annotated[
        float, typer.Option(min=0, max=1, help="The validation accuracy that epochs-to-reach waits for.")
    ] = 0.9,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test which cells can be told from the best.")] = True,
    paper: Annotated[
        bool, typer.Option("--paper", help="Set the report's figures beside these, and judge its claims.")
    ] = False,
    runs: Annotated[bool, typer.Option("--runs", help="List the runs of every cell, and their commits.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 1 where a table has notes.")] = False,
    format: Annotated[Format, typer.Option(help="For the terminal, a README, a paper, a spreadsheet, a program.")] = (  # noqa: A002
        Format.TABLE
    ),
    where: options.Where = None,
    tag: options.Tags = None,
    data: options.OfData = None,
    since: options.Since = None,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Print Table 1 from the registry, the best in bold.

    It shows test accuracy, a row a network and a column an optimizer. A cell is the mean over its finished runs'
    seeds, their standard deviation, and a 95 % interval; = marks what cannot be told from the best. Runs on different
    data, or for different numbers of epochs, never share a table; what else differs is noted.

    Example: kws compare --format markdown
    """
    from kws.registry.reader import RegistryReader
    from kws.reports import formats, metrics
    from kws.reports.table1 import tables

    with RegistryReader(db) as registry:
        chosen = registry.runs(options.selection(where=where, tags=tag, data=data, since=since))
        found = tables(
            registry,
            chosen,
            rows=rows.value,
            columns=columns.value,
            metric=metrics.metric(metric.value, reach=reach),
            test=test,
        )
        if paper:
            from kws.reports.paper import beside

            found = [dataclasses.replace(table, paper=beside(registry, table)) for table in found]
            if found and not any(table.paper for table in found):
                typer.echo("note: no table here is about the report's networks under its conditions", err=True)
    if format is Format.TABLE:
        from kws import screens

        screens.print_tables(found, with_runs=runs)
    else:
        typer.echo(formats.FORMATS[format.value](found, with_runs=runs), nl=False)
    if not found:
        asked = any(option is not None for option in (where, tag, data, since))
        what = "no finished runs that these options choose" if asked else "no finished runs yet"
        typer.echo(f"{db} has {what}; `kws train --arch cnn --opt adam` makes one", err=True)
    if strict and any(table.notes for table in found):
        raise typer.Exit(1)
