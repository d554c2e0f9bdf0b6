"""`kws start`: from a folder of recordings to a detector file, and a page that says how well it will do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kws.cli import options, sections

_LEAST, _USUAL = 3, 5  # folds


def start(
    words: Annotated[str, typer.Option(metavar="WORD,...", help="The keywords, by the names of their recordings.")],
    data: Annotated[str, sections.data(metavar="FOLDER", help="The recordings, in any layout that `kws train` reads.")],
    out: Annotated[
        Path | None,
        sections.output(
            "--out", "-o", metavar="FILE", help="The detector file. By default the words' names with .onnx."
        ),
    ] = None,
    other: Annotated[
        str | None,
        sections.data(
            metavar="builtin|FOLDER",
            help="Recordings of people who say other words. By default Speech Commands where it was downloaded, else "
            "synthetic speech, which is for trying out alone.",
            show_default=False,
        ),
    ] = None,
    pretrained: Annotated[
        str | None,
        sections.training(
            "--from",
            metavar="none|RUN|FILE:RUN",
            help="The run to start from. By default the one of --db that tells the most words of recordings apart.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        sections.training(
            metavar="N",
            help=f"Parts of the clips that are tested in turn; 0 leaves that out. By default {_USUAL}, or as many as "
            "there are speakers or clips of each word.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, sections.output(metavar="FILE", help="The page. By default beside the detector file.")
    ] = None,
    speakers: options.Speakers = None,
    pattern: options.Pattern = None,
    skip_unreadable: options.SkipUnreadable = False,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """From recordings of your own words to a detector file.

    A network that was trained on other words learns yours from a few recordings of each, ten if there are no more,
    beside speech and noise that is none of them. What comes out is an ONNX file that runs without kws, checked as by
    `kws export`, and a page: how many of your clips are heard by networks that were trained without them, how often
    other words are taken for yours, and what would help most. Every run is kept in the registry, and the commands that
    make the same step by step are shown.

    Example: kws start --words lamp,heater --data my-recordings
    """
    from kws.cli import starting
    from kws.recipe.words import check, read

    chosen = read(words)
    check("words", chosen)
    if folds is not None and folds and folds < _LEAST:
        raise typer.BadParameter(f"--folds {folds} must be 0, or {_LEAST} and more")
    if out is not None and out.suffix.lower() in (".html", ".htm"):
        raise typer.BadParameter(f"--out {out} is the detector file; --html names the page")
    file = out or Path("-".join(chosen).replace("/", "-") + ".onnx")
    plan = starting.Plan(
        words=chosen,
        data=data,
        out=file,
        html=html or file.with_suffix(".html"),
        other=other or starting.other_words(),
        pretrained=pretrained,
        folds=_USUAL if folds is None else folds,
        as_many=folds is None,
        speakers=speakers or None,
        pattern=pattern or None,
        skip_unreadable=skip_unreadable,
        db=db,
    )
    starting.run(plan, json=json)
