"""`kws bench`: what this machine does."""

from typing import Any

import typer

from kws.cli import options, recipe_options
from kws.recipe import NETWORK, Recipe
from kws.recipe.own_options import PRECISIONS


@recipe_options.taking_recipe(recipe_options.ONE, of=(NETWORK,))
def bench(
    context: typer.Context,
    settings: recipe_options.Set = None,
    threads: options.Threads = None,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Measure training speed here, in each precision.

    Shows clips a second, operations a second, their share of the processor's peak, which is the fastest of several
    products of matrices with as many threads, and which precision to choose.

    Example: kws bench --arch cnn
    """
    from kws.terminal import console, screens
    from kws.training import profile

    chosen = {"opt": "adam"} | recipe_options.chosen(given, settings, needs=("arch",), context=context)
    chosen["threads"] = options.chosen_threads(threads)
    recipes = [Recipe.of(**chosen | {"precision": precision}) for precision in PRECISIONS]
    arch = recipes[0].arch
    speeds = [profile.measure(recipe, clips=512) for recipe in recipes]
    if json:
        records = [vars(each) | {"share": each.share} for each in speeds]
        console.print_json({"schema": 1, "arch": arch, "threads": recipes[0].threads, "speeds": records})
    else:
        screens.print_speeds(arch, recipes[0].threads, speeds)
