"""`kws plot`: the report's figure of one or several runs."""

from pathlib import Path
from typing import Annotated

import typer

from kws.cli import options


def plot(
    runs: options.Runs,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PNG, SVG or PDF by the file's ending; by default curves-RUN.png."),
    ] = None,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Plot runs, and print the file's path.

    It draws accuracy and loss over the training iteration, side by side. Training is drawn per iteration, validation
    per epoch. Several runs are laid over each other.

    Example: kws plot last --out curves.pdf
    """
    from kws.errors import RegistryError
    from kws.registry.reader import RegistryReader
    from kws.reports import curves

    with RegistryReader(db) as registry:
        found = [registry.run(run) for run in dict.fromkeys(runs)]
        drawn = {run.id: (run, registry.epochs(run.id)) for run in found}
    for run, epochs in drawn.values():
        if not epochs:
            raise RegistryError(f"run {run.id} ({run.status}) has no epochs to plot")
    path = out or Path(f"curves-{'-'.join(drawn)}.png")
    curves.save(curves.figure(list(drawn.values())), path)
    typer.echo(path)
