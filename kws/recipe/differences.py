"""In what recipes differ, which is what labels are made of."""

from __future__ import annotations

from collections.abc import Iterable

from kws.recipe.known import names
from kws.recipe.own_options import own_options
from kws.recipe.parts import KINDS
from kws.recipe.recipe import Recipe


def varying(recipes: Iterable[Recipe]) -> list[str]:
    """The names of the values in which recipes differ, but for what decides bits alone, in the order of names().

    Different optimizers have different defaults: of an option of a part, only recipes that have the same part are
    compared.
    """
    recipes, order = list(recipes), names()
    found: list[str] = []
    for kind in KINDS:
        each = {getattr(recipe, kind.name) for recipe in recipes}
        if len(each) < 2:
            continue
        values = [
            ("", {name: value for config in configs for name, value in config.values().items()})
            if kind.several
            else (configs.NAME, configs.values())
            for configs in each
        ]
        if len({part for part, _ in values}) > 1:
            found.append(kind.option)
        for name in dict.fromkeys(name for _, own in values for name in own):
            pairs = {(part, own[name]) for part, own in values if name in own}
            if len(pairs) > len({part for part, _ in pairs}):
                found.append(name)
    own_names = (each.name for each in own_options() if not each.bits)
    found += [name for name in own_names if len({getattr(recipe, name) for recipe in recipes}) > 1]
    return sorted(found, key=lambda name: order.index(name) if name in order else len(order))
