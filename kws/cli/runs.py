"""`kws runs`: what the registry holds, and what is done with single runs."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kws.cli import options
from kws.registry.runs import STATUSES, Run
from kws.reports.run_list import DEFAULT, in_order

app = typer.Typer(
    help="List, show, compare, annotate, delete and move runs.",
    short_help="Runs of the registry",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)


_LISTED = 20  # runs on a terminal, unless --limit says otherwise


def _limit(text: str | int) -> int:
    """How many runs a list has at most; 0 for all of them."""
    if str(text).strip().lower() == "all":
        return 0
    try:
        limit = int(text)
    except ValueError:
        limit = -1
    if limit < 0:
        raise typer.BadParameter(f"{text!r} is no number of runs; give one, or all")
    return limit


@app.command("list")
def list_runs(
    where: options.Where = None,
    tag: options.Tags = None,
    data: options.OfData = None,
    status: Annotated[options.Status | None, typer.Option(help=f"One of {', '.join(STATUSES)}.")] = None,
    since: options.Since = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="List the deleted runs instead.")] = False,
    limit: Annotated[
        Any,
        typer.Option(
            metavar="N|all",
            parser=_limit,
            help=f"How many runs are listed; 0 is all. By default {_LISTED} on a terminal, all elsewhere.",
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="By which column, as test, -test or arch; times and figures from the greatest, words from A, and the "
            "reverse with a - before it.",
        ),
    ] = DEFAULT,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """List runs, the newest first.

    A terminal gets the first 20, and the columns that it has room for. A file, a pipe and --json get all of them
    unless --limit is given.

    Example: kws runs list --where "arch = 'cnn' and test_accuracy > 0.9" --sort test
    """
    from kws.registry.reader import RegistryReader
    from kws.registry.selection import ALL_RUNS
    from kws.terminal import console, screens_runs

    in_order((), sort)  # a mistake is told before the registry is read
    selection = options.selection(
        where=where, tags=tag, data=data, since=since, status=status.value if status else None, deleted=deleted
    )
    with RegistryReader(db) as registry:
        found = registry.runs(selection)
        there = len(registry.runs()) if not found and selection != ALL_RUNS else 0
    found = in_order(found, sort)
    if limit is None and not json and sys.stdout.isatty():
        limit = _LISTED
    shown = found[: limit or None]
    if json:
        from kws.reports import json_output

        console.print_json({"schema": json_output.SCHEMA, "runs": [json_output.run_record(run) for run in shown]})
        return
    screens_runs.print_runs(shown, more=len(found) - len(shown), by=sort)
    if there:
        others = [*(["--deleted"] if deleted else []), *([f"--status {status.value}"] if status else [])]
        about = {"where": where, "tags": tag, "data": data, "since": since, "others": others}
        console.say(console.visible(f"{db} has {options.none_matches(there, 'run', **about)}"))  # type: ignore[arg-type]
    elif not found:
        console.say("no runs yet; `kws train --arch cnn --opt adam` makes one")


@app.command("show")
def show_run(
    run: options.Run,
    source: Annotated[
        bool, typer.Option("--source", help="Print the source of the run's own network instead; it does not run.")
    ] = False,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Show all of one run: recipe, data, figures, epochs.

    It says how many recipes the run's test split has judged so far, too: the best of many looks better than it is.

    Example: kws runs show last
    """
    from kws.events import TEST
    from kws.registry.reader import RegistryReader
    from kws.reports import json_output
    from kws.terminal import console, screens

    with RegistryReader(db) as registry:
        found = registry.run(run)
        if source:
            _print_source(found, registry.source(found.id), as_json=json)
            return
        card = registry.card(found.data_fingerprint)
        evaluations = registry.evaluations(found.id)
        epochs = registry.epochs(found.id)
        judged = registry.recipes_judged(card.split_fingerprints[TEST])
    if json:
        console.print_json(json_output.full_record(found, card, evaluations, epochs, judged=judged))
    else:
        screens.print_run(found, card, evaluations, epochs, judged=judged)


def _print_source(run: Run, source: str | None, *, as_json: bool) -> None:
    """Print a source as it is; on a terminal, with what would be obeyed or hidden there made visible."""
    from kws.errors import RegistryError
    from kws.reports import json_output
    from kws.terminal import console

    if source is None:
        raise RegistryError(f"run {run.id} has no source: its network, {run.recipe.arch}, is one of kws")
    if as_json:
        about = {"run": run.id, "sha256": run.recipe.source, "source": source}
        console.print_json({"schema": json_output.SCHEMA, **about})
    elif sys.stdout.isatty():
        typer.echo("\n".join("    ".join(map(console.visible_part, line.split("\t"))) for line in source.split("\n")))
    elif binary := getattr(sys.stdout, "buffer", None):  # byte by byte, whatever the encoding, so that its digest stays
        sys.stdout.flush()
        binary.write(source.encode())
        binary.flush()
    else:
        typer.echo(source, nl=False)


@app.command("diff")
def diff_runs(
    first: options.Run, second: options.Run, db: options.Db = options.DEFAULT_DB, json: options.Json = False
) -> None:
    """Show what differs between two runs, side by side.

    Example: kws runs diff bcdf ghjk
    """
    from kws.registry.reader import RegistryReader
    from kws.reports import json_output
    from kws.terminal import console, screens

    with RegistryReader(db) as registry:
        runs = [registry.run(first), registry.run(second)]
    differing, same = json_output.difference(*runs)
    if json:
        pairs = {field: list(pair) for field, pair in differing.items()}
        console.print_json(
            {"schema": json_output.SCHEMA, "runs": [run.id for run in runs], "differ": pairs, "same": list(same)}
        )
    else:
        screens.print_difference(runs[0], runs[1], differing, same)


@app.command("tag")
def tag_run(
    run: options.Run,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Any words.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tags away.")] = False,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Give a run tags, or take them away.

    Example: kws runs tag last paper
    """
    from kws.registry.store import Registry

    with Registry(db) as registry:
        found = registry.run(run)
        registry.tag(found.id, tags, remove=remove)
        typer.echo(f"{found.id}: {', '.join(registry.run(found.id).tags) or 'no tags'}")


@app.command("note")
def note_run(
    run: options.Run,
    text: Annotated[str, typer.Argument(metavar="TEXT", help='The note; "" removes it.')],
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Give a run a note, in place of the one it has.

    Example: kws runs note last "learning rate too high?"
    """
    from kws.registry.store import Registry

    with Registry(db) as registry:
        registry.annotate(registry.run(run).id, text or None)


@app.command("delete")
def delete_runs(runs: options.Runs, db: options.Db = options.DEFAULT_DB) -> None:
    """Take runs out of every table; restore brings them back.

    Example: kws runs delete bcdf
    """
    from kws.registry.store import Registry
    from kws.registry.waiting import wait_for_silence
    from kws.terminal.progress import Terminal

    with Registry(db) as registry:
        for run_id in [registry.run(run).id for run in runs]:
            registry.delete(run_id, silent=wait_for_silence(registry, run_id, Terminal().say))
            typer.echo(f"{run_id} deleted; kws runs restore {run_id} brings it back")


@app.command("restore")
def restore_runs(runs: options.Runs, db: options.Db = options.DEFAULT_DB) -> None:
    """Bring deleted runs back.

    Example: kws runs restore bcdf
    """
    from kws.registry.store import Registry

    with Registry(db) as registry:
        for run_id in [registry.run(run, deleted=True).id for run in runs]:
            registry.restore(run_id)
            typer.echo(f"{run_id} restored")


@app.command("purge")
def purge_runs(
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN...]", help="By default all deleted runs.")] = None,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Remove deleted runs for good, and give their space back.

    Example: kws runs purge
    """
    from kws.registry import maintenance
    from kws.registry.selection import Selection
    from kws.registry.store import Registry

    with Registry(db) as registry:
        if runs:
            found = list(dict.fromkeys(registry.run(run, deleted=True).id for run in runs))
        else:
            found = [run.id for run in registry.runs(Selection(deleted=True))]
    before = maintenance.info(db)["bytes"]
    from kws.terminal.console import visible
    from kws.terminal.quiet import insist

    kept = maintenance.purge(db, found)
    freed = max(before - maintenance.info(db)["bytes"], 0)  # a server may have grown by a page
    typer.echo(f"{len(found)} run{'' if len(found) == 1 else 's'} purged, {freed / 1e6:.1f} MB freed")
    if kept:
        url, why = kept[0]
        many = f"{len(kept)} files could not be removed, such as {url}" if len(kept) > 1 else f"{url} stayed"
        insist(visible(f"note: {many} ({why})"))


@app.command("export")
def export_run(
    run: options.Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new registry; it must not be there yet.")],
    names: Annotated[
        bool, typer.Option("--names", help="Keep the names of speakers, clips and your home folder.")
    ] = False,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Copy a run, with all it has, to a registry of its own.

    Speakers, and paths of clips but for the word, become pseudonyms, the same in all files: tables, intervals over
    speakers and folds come out the same. Your home folder becomes ~ in the recipe and commands. Names, notes, tags and
    error texts of runs are as you wrote them.

    Example: kws runs export last best.db
    """
    from kws.errors import RegistryError
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import RUNNING
    from kws.registry.transfer import export
    from kws.terminal import console

    with RegistryReader(db) as registry:
        found = registry.run(run)
    if found.status == RUNNING and not found.last_seen:
        raise RegistryError(f"run {found.id} is still running; wait for it, or stop it and try again")
    export(db, [found.id], file, names=names)
    if not names:
        console.say(
            "speakers and clips have pseudonyms, --names keeps their names; names, notes and error texts are as written"
        )
    typer.echo(file)


@app.command("import")
def import_runs(
    file: Annotated[
        Any,
        typer.Argument(
            metavar="REGISTRY",
            parser=options.place,
            help="A registry, as `kws runs export` makes it, or a server's URL.",
        ),
    ],
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Copy another registry's runs into this one; ids stay.

    Example: kws runs import best.db
    """
    from kws.registry.transfer import take_in

    copied, known = take_in(db, file)
    for run_id in copied:
        typer.echo(f"{run_id} imported")
    for run_id in known:
        typer.echo(f"{run_id} is already there", err=True)
