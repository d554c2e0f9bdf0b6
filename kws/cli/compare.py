"""`kws compare`: Table 1 from the registry."""

from enum import StrEnum
from typing import Annotated

import typer

from kws.cli import options


class Format(StrEnum):
    """How the table is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


def compare(
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
    seeds; runs on different data, or for different numbers of epochs, never share a table.

    Example: kws compare --format markdown
    """
    from kws.registry.reader import RegistryReader
    from kws.reports import formats
    from kws.reports.table1 import tables

    with RegistryReader(db) as registry:
        chosen = registry.runs(options.selection(where=where, tags=tag, data=data, since=since))
        found = tables(chosen, registry.card)
    if format is Format.TABLE:
        from kws import screens

        screens.print_tables(found)
    else:
        typer.echo(formats.FORMATS[format.value](found), nl=False)
    if not found:
        asked = any(option is not None for option in (where, tag, data, since))
        what = "no finished runs that these options choose" if asked else "no finished runs yet"
        typer.echo(f"{db} has {what}; `kws train --arch cnn --opt adam` makes one", err=True)
