"""What a recipe names outside its data set, pinned to its content: noise, further clips, and spoken words.

A value that stands for recordings gets the digest of those that it stands for now, as in `dataset@4f2a91c3d0e1`, so
that a run with others in the same place is another recipe. Without torch, as for listings, where nothing is made anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from kws.recipe import Recipe
from kws.speech import also, noise, spoken


def of_recipes(recipes: Iterable[Recipe]) -> list[Recipe]:
    """The same recipes, with the digests of what they name now. Raises DataError for what is not there."""
    folders: dict[tuple[str, str], str] = {}
    made = []
    for recipe in noise.of_recipes(recipes):
        named = recipe.also or also.NONE, recipe.align
        if named not in folders:
            folders[named] = also.pinned(*named)
        pinned = {"also": folders[named], "spoken": spoken.pinned(recipe.spoken or spoken.NONE, recipe.task)}
        changed = {name: value for name, value in pinned.items() if value != (getattr(recipe, name) or also.NONE)}
        made.append(recipe.changed(**changed) if changed else recipe)
    return made
