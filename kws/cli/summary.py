"""`kws summary`: a network layer by layer."""

from typing import Any

import typer

from kws.cli import options, recipe_options
from kws.recipe import NETWORK, TASK, Recipe

_ANY: dict[str, Any] = {"opt": "sgd"}  # a network is the same with any optimizer


@recipe_options.taking_recipe(recipe_options.ONE, of=(NETWORK, TASK))
def summary(
    context: typer.Context,
    settings: recipe_options.Set = None,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Show a network layer by layer: sizes, parameters, work.

    Parameters come with the formula filled in, and with the ratio to the other networks'.

    Example: kws summary --arch cnn
    """
    from kws.terminal import console, loading, screens

    recipe = Recipe.of(**_ANY | recipe_options.chosen(given, settings, needs=("arch",), context=context))
    loading.pytorch()
    from kws.training.layers import of_recipe

    classes = len(TASK.part(recipe.task.NAME).load().classes(recipe.task))
    chosen = of_recipe(recipe, classes=classes)
    others = [of_recipe(Recipe.of(**_ANY, arch=name), classes=classes) for name in NETWORK.parts if name != recipe.arch]
    if json:
        console.print_json(chosen.record())
    else:
        screens.print_summary(chosen, others)
