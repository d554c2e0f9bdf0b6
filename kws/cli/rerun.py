"""`kws rerun`: the same recipe again, and whether it came out the same."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from kws.cli import last, options


def rerun(
    run: options.Run,
    data: options.DataOfRun = None,
    skip_unreadable: options.SkipUnreadable = False,
    trust_code: options.TrustCode = None,
    note: Annotated[str | None, typer.Option(help="A note to keep with the new run.")] = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Train a run again, and say if it is the same.

    The same means to the last bit.

    Compared are every epoch's figures, the answers on the test split, and the weights. Where they differ, it says from
    which epoch on, and which versions, threads or processor do; the exit code is then 1. A run that was not tested is
    not tested again, either. --data names the same clips where they lie elsewhere.

    Example: kws rerun last
    """
    from kws.errors import RegistryError
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import FINISHED
    from kws.registry.trust import admit
    from kws.reports import json_output
    from kws.reports.reproducibility import compare
    from kws.terminal import console, loading
    from kws.terminal.progress import Terminal
    from kws.terminal.quiet import insist
    from kws.training import runner

    with RegistryReader(db) as registry:
        first = last.run_of(registry, run, last.finished)
        if first.status != FINISHED:
            raise RegistryError(
                f"run {first.id} is {first.status}; only a finished run can be trained again, and "
                f"`kws train --resume {first.id}` goes on with one that was cut off"
            )
        admit(registry, first, trust_code)
    recipe = replace(first.recipe, data=data or first.recipe.data)
    about: dict[str, Any] = {"name": first.name, "note": note, "skip_unreadable": skip_unreadable}
    loading.pytorch()
    again = runner.run(recipe, db=db, **about, again=first, test=not first.awaits_test, reporter=Terminal())
    with RegistryReader(db) as registry:
        result = compare(registry, first, again)
    if json:
        console.print_json({"schema": json_output.SCHEMA, **result.record()})
    else:
        insist(result.sentence)
    if not result.same:
        raise typer.Exit(1)
