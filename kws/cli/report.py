"""`kws report`: Table 1, curves, confusion matrices and every run in one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from kws.cli import options, pages
from kws.errors import PageError
from kws.registry.location import Location

MOST_RUNS = 2_000  # some 8 kB each, which makes 16 MB


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The file to write; one of that name is replaced.")],
    where: options.Where = None,
    tag: options.Tags = None,
    data: options.OfData = None,
    since: options.Since = None,
    names: Annotated[bool, typer.Option("--names", help="Keep the name of your home folder.")] = False,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Write runs as one HTML file, and print its path.

    It has Table 1, learning curves, confusion matrices, and each run's recipe, environment and commit. It opens
    offline, needs nothing beside it, and is the same to the last byte for the same registry. It names no speaker and
    no clip, and your home folder is ~ in it; names, notes, tags and error texts of runs are as you wrote them. It
    refuses more than 2,000 runs, which no browser opens.

    Example: kws report report.html --where "arch = 'cnn'"
    """
    pages.require_html(out, "out", "kws report report.html")
    from kws.registry.all_runs import count
    from kws.registry.pseudonyms import homeless
    from kws.registry.reader import RegistryReader
    from kws.registry.selection import ALL_RUNS
    from kws.reports.page import html
    from kws.reports.page.data import overview

    selection = options.selection(where=where, tags=tag, data=data, since=since)
    with RegistryReader(db) as registry:
        if _is_same(out, db):
            raise PageError(f"{out} is the registry itself; name another file, as in `kws report report.html`")
        chosen = any(option is not None for option in (where, tag, since))
        if selection == ALL_RUNS:
            _require_few(count(registry), db)
        runs = registry.runs(selection)
        _require_few(len(runs), db)
        found = overview(registry, runs, chosen=chosen)
        page = html.report(registry, found)
    pages.write(out, page if names else homeless(page))
    typer.echo(out)
    if not found.runs:
        typer.echo(f"{db} has no runs that are chosen; `kws train --arch cnn --opt adam` makes one", err=True)


def _require_few(runs: int, db: Location) -> None:
    if runs > MOST_RUNS:
        raise PageError(
            f"a file of {runs:,} runs is more than a browser opens; choose at most {MOST_RUNS:,}, as in "
            f"`kws report report.html --since 7d`, by --tag or by --where; `kws ui --db {db}` shows all of them"
        )


def _is_same(out: Path, db: Location) -> bool:
    try:
        return isinstance(db, Path) and out.samefile(db)
    except OSError:  # there is no such file, or none can be
        return False
