"""`kws plot`: figures of one or several runs, or of all there are."""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kws.cli import last, options, sections
from kws.reports.figures import KINDS

Kind = StrEnum("Kind", {name: name for name in KINDS})  # type: ignore[misc]
CURVES = Kind("curves")
_NEEDS = {"curves": last.epochs, "confusion": last.tested, "det": last.tested}  # of `last`
_NAMED = 4  # runs whose ids stand in a file's name


class Style(StrEnum):
    """Where a figure is looked at."""

    SCREEN = "screen"
    PAPER = "paper"


def plot(
    runs: options.RunsOrAll = None,
    kind: Annotated[Kind, typer.Option(help="What is drawn.")] = CURVES,
    style: Annotated[
        Style, typer.Option(help="With a title; or one column of a paper wide, with its caption on stderr.")
    ] = Style.SCREEN,
    out: Annotated[
        Path | None,
        sections.output(
            "--out",
            "-o",
            metavar="FILE",
            help="PNG, SVG or PDF by the file's ending; by default KIND-RUN.png, or KIND.png; of many RUNs, "
            "KIND-N-runs-DIGEST.png.",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, callback=options.number, help="The validation accuracy that --kind time draws the way to."
        ),
    ] = None,
    where: options.Where = None,
    tag: options.Tags = None,
    data: options.OfData = None,
    since: options.Since = None,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Plot runs, and print the file's path.

    KINDS

    Optimizers, convergence, size and time draw all finished runs, or those that --where, --tag, --data and --since
    choose, or the RUNs that are named; of these the largest group on the same data. Size and time draw all its recipes,
    the others those under the same conditions, which are those of Table 1 where nothing is chosen and it has runs.

    Example: kws plot last --out curves.pdf
    """
    from kws.errors import RegistryError
    from kws.registry.reader import RegistryReader
    from kws.reports import drawing, figures, scope

    chosen = any(option is not None for option in (where, tag, data, since))
    if not runs and not figures.about_many(kind.value):
        raise RegistryError(
            f"--kind {kind.value} draws runs that are named, and none is; try `kws plot last --kind {kind.value}`"
        )
    if target is not None and not figures.takes_target(kind.value):
        raise RegistryError(f"--target (={target:g}) is for --kind time; leave it out for --kind {kind.value}")
    if runs and chosen:
        raise RegistryError(
            f"--where, --tag, --data and --since choose among all runs, but {runs[0]!r} is named; leave out one of them"
        )
    with RegistryReader(db) as registry:
        if runs:
            need = _NEEDS.get(kind.value, last.finished)
            named = {run.id: run for run in (last.run_of(registry, each, need) for each in dict.fromkeys(runs))}
        else:
            selection = options.selection(where=where, tags=tag, data=data, since=since)
            every = registry.runs(selection)
            if kind.value in figures.OF_TABLE_1 and not chosen:
                every = list(scope.of_the_report(registry, every).runs)
            named = {run.id: run for run in every}
        drawn = figures.draw(kind.value, registry, list(named.values()), drawing.STYLES[style.value], target=target)
    path = out or Path(f"{_name(kind.value, list(named) if runs else [])}.png")
    drawing.save(drawn, path, drawing.STYLES[style.value])
    typer.echo(path)
    if style is Style.PAPER:
        from kws.terminal import console

        console.say(f"caption: {drawing.caption(drawn)}")


def _name(kind: str, runs: list[str]) -> str:
    """What a figure of these runs is called: by their ids, or where these are many by a digest of them."""
    if len(runs) <= _NAMED:
        return "-".join([kind, *runs])
    return f"{kind}-{len(runs)}-runs-{hashlib.sha256(' '.join(runs).encode('utf-8', 'replace')).hexdigest()[:8]}"


plot.__doc__ = (plot.__doc__ or "").replace(
    "KINDS", "\b\n    " + "\n    ".join(f"{k:<12} {v}" for k, v in KINDS.items())
)
