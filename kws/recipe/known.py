"""Every option that a recipe may have, by name: the parts', in the order of KINDS, then the recipe's own.

An option's name belongs to one kind of part. Parts that are added later (networks of the user's own) bring theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kws.errors import RecipeError
from kws.recipe.config import Option
from kws.recipe.own_options import own_options
from kws.recipe.parts import BY_OPTION, KINDS, OWN, Kind
from kws.recipe.wording import suggestion


@dataclass(frozen=True)
class Known:
    """Every option by name, the kinds of part that they belong to (None: the recipe itself), and old names."""

    options: Mapping[str, Option]
    kinds: Mapping[str, Kind | None]
    old: Mapping[str, str]
    names: tuple[str, ...]

    def current_name(self, name: str) -> str:
        """The name that an option has now."""
        if name not in self.names:
            name = name.replace("-", "_")
        if name in self.options or name in BY_OPTION:
            return name
        if name not in self.old:
            told = suggestion(name, self.names) or f"; a recipe has {', '.join(self.names)}"
            raise RecipeError(f"there is no option `{name}`{told}")
        return self.old[name]


def parts_now() -> tuple[Any, ...]:
    """What is another value where parts were added."""
    return (*(kind.folders for kind in KINDS), *OWN.values())


def known() -> Known:
    """What options there are now."""
    return _of(parts_now())


@lru_cache(8)
def _of(_: tuple[Any, ...]) -> Known:
    found: dict[str, Option] = {}
    kinds: dict[str, Kind | None] = {}
    order: list[str] = []
    for kind in KINDS:
        order += [] if kind.several else [kind.option]
        for each in (each for part in kind.parts.values() for each in part.options.values()):
            if kinds.setdefault(each.name, kind) != kind:
                raise RecipeError(f"the option {each.name} is declared by two kinds of part")
            found.setdefault(each.name, each)
        order += [name for name in found if name not in order]
    for each in own_options():
        if each.name in found:
            raise RecipeError(f"the option {each.name} is declared by a part and by Recipe")
        found[each.name], kinds[each.name] = each, None
        order.append(each.name)
    old = {each.old: each.name for each in found.values() if each.old}
    return Known(found, kinds, old, tuple(order))


def option_of(name: str, chosen: Mapping[str, Any]) -> Option | None:
    """An option as it is in a recipe whose parts are chosen so; None where they do not have it."""
    kind = kind_of(name)
    return every_option().get(name) if kind is None or kind.several else kind.chosen(chosen).options.get(name)


def every_option() -> Mapping[str, Option]:
    """Every option that a recipe may have, by name: the parts', in the order of KINDS, then its own.

    Of parts that have one by the same name, that of the first.
    """
    return known().options


def kind_of(name: str) -> Kind | None:
    """The kind of part that an option belongs to; None for a recipe's own, and for a name that no option has."""
    return known().kinds.get(name)


def names() -> tuple[str, ...]:
    """The names of a recipe's values, those of its parts and of every option, each kind beside its options."""
    return known().names


def current_name(name: str) -> str:
    """The name that an option has now. Raises RecipeError for one that none ever had."""
    return known().current_name(name)
