"""`kws compare`: Table 1 from the registry."""

import dataclasses
import functools
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kws.cli import options, sections
from kws.errors import RecipeError
from kws.inference.card import MISS_RATE
from kws.recipe import NETWORK, OPTIMIZER, current_name, names
from kws.registry.runs import Run
from kws.reports.metrics import NAMES, TARGET
from kws.reports.table import Table

if TYPE_CHECKING:
    from kws.registry.reader import RegistryReader
    from kws.reports.folds import FoldTable
    from kws.reports.publications import Publication
    from kws.reports.text_tables import Grid


class Format(StrEnum):
    """How the table is written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"


Metric = StrEnum("Metric", {name: name for name in NAMES})  # type: ignore[misc]
TEST_ACCURACY = Metric("test-accuracy")
_CHOOSING = {"rows", "columns", "where", "tag", "since"}  # who says one of these gets all that it chooses


def field(name: str) -> str:
    """What rows or columns may be made of: any value of a recipe, under its name or the one it had before.

    An option that kws does not have may be that of a network of a run's own; _require_known() asks the runs.
    """
    try:
        return current_name(name)
    except RecipeError:
        return name


def _require_known(name: str, runs: list[Run]) -> None:
    """Raise BadParameter for what is a value of no recipe."""
    if name not in names() and not any(name in run.recipe.values for run in runs):
        try:
            current_name(name)
        except RecipeError as error:
            raise typer.BadParameter(str(error)) from None


def complete_field(incomplete: str) -> list[str]:
    """The names that begin so."""
    return [name for name in names() if name.startswith(incomplete)]


def compare(
    context: typer.Context,
    rows: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            callback=field,
            autocompletion=complete_field,
            help="What makes rows: any option of a recipe.",
        ),
    ] = NETWORK.option,
    columns: Annotated[
        str, typer.Option(metavar="NAME", callback=field, autocompletion=complete_field, help="What makes columns.")
    ] = OPTIMIZER.option,
    metric: Annotated[Metric, typer.Option(help="What a cell shows.")] = TEST_ACCURACY,
    target: Annotated[
        float,
        typer.Option(
            *("--target", "--reach"),
            min=0,
            max=1,
            callback=options.number,
            help="The validation accuracy that metrics ending in -to-reach wait for.",
        ),
    ] = TARGET,
    misses: options.Misses = MISS_RATE,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Test which cells can be told from the best.")] = True,
    leaderboard: Annotated[
        bool,
        typer.Option(
            "--leaderboard", help="A row a whole recipe, the best first, with its size, its time and its validation."
        ),
    ] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="Set the report's figures beside these, and judge its claims.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Set another publication's figures beside these, and judge its claims: a .toml or .csv file as in "
            "docs/tables.md.",
        ),
    ] = None,
    runs: Annotated[bool, sections.output("--runs", help="List the runs of every cell, and their commits.")] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Check the tables in a .tex, .md, .txt or .csv file and their captions: all that they say; exit code "
            "1 where anything is not the registry's.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        sections.output(
            "--strict", help="End with exit code 1 where a table has notes, or --check finds what it cannot check."
        ),
    ] = False,
    format: Annotated[  # noqa: A002
        Format, sections.output(help="For the terminal, a README, a paper, a spreadsheet, a program.")
    ] = Format.TABLE,
    where: options.Where = None,
    tag: options.Tags = None,
    data: options.OfData = None,
    since: options.Since = None,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Print Table 1 from the registry, the best in bold.

    It shows test accuracy, one row per network and one column per optimizer. A cell is the mean over its finished runs'
    seeds, their standard deviation, and a 95 % interval; = marks what cannot be told from the best. Runs on different
    data, or for different numbers of epochs, never share a table; what else differs is noted. Runs of the folds of
    cross-validation (--fold) have a table of their own: each fold, and all together.

    Where there are runs of the report's networks under its conditions, Table 1 is about these alone, unless rows,
    columns or runs are chosen (--where, --tag, --since); a note counts the others, and --leaderboard has all.

    Example: kws compare --format markdown
    """
    typed = {name for name in context.params if options.was_typed(context, name)}
    if leaderboard and (others := typed & {"rows", "columns", "paper", "against"}):
        raise RecipeError(f"--leaderboard is a table of its own; leave out --{min(others)}")
    if paper and against:
        raise RecipeError("--paper sets the report beside the table, --against another publication; leave out one")
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import FINISHED
    from kws.reports import metrics, scope
    from kws.reports.ahead import ReadAhead
    from kws.reports.table1 import tables
    from kws.terminal import console

    publication = None  # the report, if it is asked for
    if against:
        from kws.reports import publications

        publication = publications.read(against)
    if publication and metric.value != publication.metric:
        if "metric" in typed:
            raise RecipeError(f"{against} has figures of {publication.metric}; leave out --metric {metric.value}")
        metric = Metric(publication.metric)
    all_runs = not (typed & _CHOOSING or data)
    with (
        RegistryReader(db) as registry,
        ReadAhead(registry, wanted=all_runs and metric is TEST_ACCURACY and not leaderboard) as ahead,
    ):
        chosen = registry.runs(options.selection(where=where, tags=tag, data=data, since=since))
        there = sum(run.status == FINISHED for run in registry.runs()) if not chosen else 0
        for name in (rows, columns):
            _require_known(name, chosen)
        shown = metrics.metric(metric.value, target=target, misses=misses)
        folded: list[FoldTable] = []
        if metric is TEST_ACCURACY and not leaderboard and any(run.recipe.fold is not None for run in chosen):
            from kws.reports.folds import fold_tables

            folded = fold_tables(registry, chosen)
            chosen = [run for run in chosen if run.recipe.fold is None]
        of = scope.Scope(runs=tuple(chosen))
        if leaderboard or check is not None:
            from kws.reports.leaderboard import leaderboards
        if leaderboard:
            found = leaderboards(registry, chosen, metric=shown, test=test or check is not None)
        else:
            of_others = publication and not all(scope.is_of_the_report(each.recipe) for each in publication.figures)
            if not typed & _CHOOSING and not of_others:
                of = scope.of_the_report(registry, chosen)
            make = functools.partial(
                tables, registry, rows=rows, columns=columns, metric=shown, test=test or check is not None, ahead=ahead
            )
            found = make(of.runs, apart=of.apart)
            if check is not None:  # a paper may have tables of other recipes as well, and a leaderboard
                found += [
                    *make(of.others if check.suffix != ".csv" else ()),
                    *leaderboards(registry, chosen, metric=shown),
                ]
        if (paper or against or check is not None) and not leaderboard:
            found = _beside(registry, found, publication, against, say=paper or against is not None)
    if check:
        _check(found, folded, check, as_json=format is Format.JSON, strict=strict)
        return
    if format is Format.TABLE:
        from kws.terminal import screens

        more: list[Grid] = []
        if folded:
            from kws.reports.fold_grids import fold_grids

            more = [grid for table in folded for grid in fold_grids(table, with_runs=runs)]
        screens.print_tables(found, with_runs=runs, more=more)
        if metric.value == metrics.UNHEARD:
            from kws.reports import turns

            for line in turns.over_groups(found):
                console.paragraph(console.out(), line)
    else:
        from kws.reports import formats

        typer.echo(formats.FORMATS[format.value](found, with_runs=runs, folds=folded), nl=False)
        if folded and format is Format.CSV:
            console.say("note: the table over folds is not in CSV; --format json has all of it")
    if of.others:
        console.say(f"note: {of.sentence}")
    awaiting = sum(run.awaits_test for run in chosen)
    if awaiting:
        runs_are = "1 finished run is" if awaiting == 1 else f"{awaiting:,} finished runs are"
        console.say(f"note: {runs_are} not tested, and so in no table; `kws test RUN` tests one, once")
    if folded and not found:
        return
    if not found and any(run.status == FINISHED for run in chosen) and not awaiting:
        console.say(console.visible(f"{db} has no finished run whose {metric.value} is known; try another --metric"))
    elif not found and not awaiting:
        what = "no finished runs yet; `kws train --arch cnn --opt adam` makes one"
        if there:
            what = options.none_matches(there, "finished run", where=where, tags=tag, data=data, since=since)
        console.say(console.visible(f"{db} has {what}"))
    if strict and any(table.notes for table in found):
        raise typer.Exit(1)


def _beside(
    registry: "RegistryReader", tables: list[Table], publication: "Publication | None", file: Path | None, *, say: bool
) -> list[Table]:
    """The tables with a publication beside each that has a cell of it; of a file's, the other tables are left out.

    With `say`, what has no counterpart is noted on stderr.
    """
    from kws.reports.comparison import beside, beside_each, nearest
    from kws.terminal import console

    if publication:
        papers = beside_each(registry, tables, publication)
    else:
        papers = [beside(registry, table) for table in tables]
    made = [dataclasses.replace(table, paper=paper) for table, paper in zip(tables, papers, strict=True)]
    found = [table for table in made if table.paper]
    if say and made and not found:
        what = "no table here is about the report's networks under its conditions"
        if publication:
            runs = [run for table in made for run in table.runs]
            what = f"no cell here is of a recipe in {file}; {nearest(publication, runs)}"
        console.say(console.visible(f"note: {what}"))
    if not publication or not found:
        return made
    if others := len(made) - len(found):
        tables_are = "1 other table is" if others == 1 else f"{others:,} other tables are"
        console.say(console.visible(f"note: {tables_are} not shown, as {file} has no figure of a recipe in it"))
    return found


def _check(tables: list[Table], folds: "list[FoldTable]", path: Path, *, as_json: bool, strict: bool) -> None:
    """Compare a file's tables with these and print what differs and what could not be compared.

    Raises Exit(1) for anything that differs, and where `strict` for what could not be compared, too.
    """
    from kws.reports import checking, table_files
    from kws.terminal import console

    found = checking.check(tables, table_files.read(path), folds)
    if as_json:
        console.print_json(
            {
                "schema": 1,
                "file": str(path),
                "compared": [each.record() for each in found.compared],
                "differ": len(found.differing),
                "unchecked": [each.record() for each in found.unchecked],
            }
        )
    else:
        name = console.visible(str(path))
        show = functools.partial(console.paragraph, console.out())
        for each in found.differing:
            where, file, there = (console.visible(text) for text in (each.where, each.file, each.registry))
            show(f"{where}: {each.what} is {file or 'nothing'} in {name}, {there or 'nothing'} in the registry")
        for each in found.unchecked:
            said = f"{each.file} in {each.where}" if each.file else f"{each.what} {each.registry} is not in {name}"
            show(f"unchecked: {console.visible(said)}")
        show(found.sentence(name))
    if found.differing or (strict and found.unchecked):
        raise typer.Exit(1)
