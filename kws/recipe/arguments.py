"""The options of the command that trains a recipe again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kws.recipe.config import PLACE, Option, plain
from kws.recipe.parts import BY_OPTION, NETWORK, OWN


def words(recipe: Any, options: Mapping[str, Option], without: Sequence[str], *, switches: bool) -> list[str]:
    """The words of Recipe.arguments(), which says what they are; `options` is every option there is, by name.

    A network of the user's own is its file, where this process knows that, and its options are given by --set.
    """
    found: list[str] = []
    own = recipe.network.values() if recipe.source else {}
    for name, value in recipe.values.items():
        each, kind = options.get(name), BY_OPTION.get(name)
        if name in without or value is None or (kind and value == kind.default):
            continue
        if each and name not in own and (each.hidden or (value == each.default and not _is_always_told(each))):
            continue
        flag = each.flags[0] if each and each.flags else f"--{name.replace('_', '-')}"
        if name in own or (each is None and kind is None):
            found += ["--set", f"{name}={plain(value)}"]
        elif kind == NETWORK and recipe.source in OWN:
            found += [flag, str(OWN[recipe.source].file)]
        elif isinstance(value, bool) and switches:
            found.append(flag if value else f"--no-{flag.removeprefix('--')}")
        else:
            found += [flag, plain(value)]
    return found


def _is_always_told(each: Option) -> bool:
    return each.base in (int, float) or each.role == PLACE or bool(each.bits)
