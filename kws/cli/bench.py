"""`kws bench`: what this machine does."""

from typing import Annotated

import typer

from kws import architectures
from kws.cli import options
from kws.recipe import Recipe, cores, usable_threads
from kws.training import optimizers


def bench(
    arch: Annotated[options.Architecture, typer.Option(help="The network.", show_default=False)],
    threads: Annotated[int | None, typer.Option(help="Processor threads. By default all cores.")] = None,
    json: options.Json = False,
) -> None:
    """Measure training speed on this machine, in each precision.

    Shows clips a second, operations a second, their share of the processor's peak, which is the fastest of several
    products of matrices with as many threads, and which precision to choose.

    Example: kws bench --arch cnn
    """
    from kws.terminal import console, screens
    from kws.training import profile

    recipes = [
        Recipe(
            arch=arch.value,
            opt="adam",
            learning_rate=optimizers.defaults("adam")["learning_rate"],
            threads=cores() if threads is None else usable_threads(threads),
            slice_size=architectures.slice_size(arch.value, Recipe.batch_size, precision=precision),
            precision=precision,
        )
        for precision in options.Precision
    ]
    speeds = [profile.measure(recipe, clips=512) for recipe in recipes]
    if json:
        records = [vars(each) | {"share": each.share} for each in speeds]
        console.print_json({"schema": 1, "arch": arch.value, "threads": recipes[0].threads, "speeds": records})
    else:
        screens.print_speeds(arch.value, recipes[0].threads, speeds)
