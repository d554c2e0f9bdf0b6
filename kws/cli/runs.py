"""`kws runs`: what the registry holds."""

import typer

from kws.cli import options

app = typer.Typer(help="List runs, or show all of one.", rich_markup_mode=None, no_args_is_help=True)


@app.command("list")
def list_runs(db: options.Db = options.DEFAULT_DB, json: options.Json = False) -> None:
    """List every run, the oldest first.

    Example: kws runs list
    """
    from kws import display, screens
    from kws.registry.reader import RegistryReader
    from kws.reports import records

    with RegistryReader(db) as registry:
        found = registry.runs()
    if json:
        display.print_json({"schema": records.SCHEMA, "runs": [records.run_record(run) for run in found]})
    else:
        screens.print_runs(found)


@app.command("show")
def show_run(run: options.Run, db: options.Db = options.DEFAULT_DB, json: options.Json = False) -> None:
    """Show all of one run: recipe, data, environment, evaluations and epochs.

    Example: kws runs show last
    """
    from kws import display, screens
    from kws.registry.reader import RegistryReader
    from kws.reports import records

    with RegistryReader(db) as registry:
        found = registry.run(run)
        card = registry.card(found.data_fingerprint)
        evaluations = registry.evaluations(found.id)
        epochs = registry.epochs(found.id)
    if json:
        display.print_json(records.full_record(found, card, evaluations, epochs))
    else:
        screens.print_run(found, card, evaluations, epochs)
