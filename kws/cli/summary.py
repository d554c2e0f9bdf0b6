"""`kws summary`: a network layer by layer."""

from typing import Annotated

import typer

from kws import architectures
from kws.cli import options
from kws.recipe import parse_maps, parse_words


def summary(
    arch: Annotated[options.Architecture, typer.Option(help="The network.", show_default=False)],
    maps: Annotated[
        str | None, typer.Option(metavar="N,N", help="Feature maps of the convolutions, by default 32,16; cnn only.")
    ] = None,
    words: options.Words = options.DEFAULT_WORDS,
    json: options.Json = False,
) -> None:
    """Show a network layer by layer: sizes, parameters, work.

    Parameters come with the formula filled in, and with the ratio to the other networks'.

    Example: kws summary --arch cnn
    """
    from kws.terminal import console, screens
    from kws.training.layers import describe

    classes = len(parse_words(words)) + 1
    chosen = describe(arch.value, classes=classes, maps=parse_maps(maps) if maps else None)
    others = [describe(name, classes=classes) for name in architectures.names() if name != arch.value]
    if json:
        console.print_json(chosen.record())
    else:
        screens.print_summary(chosen, others)
