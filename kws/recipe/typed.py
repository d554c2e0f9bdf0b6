"""What is typed for an option of a recipe: the value in a text, of a type that the parts which have it give it."""

from __future__ import annotations

from typing import Any

from kws.errors import RecipeError
from kws.recipe.known import current_name, every_option, kind_of
from kws.recipe.parts import BY_OPTION

_NARROWEST = [bool, int, float, tuple, str]


def bases(name: str) -> list[type]:
    """The types that an option has in the parts that have it, the narrowest first."""
    kind = kind_of(name)
    found = kind.takers()[name].values() if kind else [every_option()[name]]
    return sorted({each.base for each in found}, key=_NARROWEST.index)


def parse(name: str, text: str) -> Any:
    """The value of an option, or the name of a part, in a text. Raises RecipeError for what cannot be.

    Parts that share a name may give it different types: the narrowest that fits is taken, which a Config makes its own.
    """
    name = current_name(name)
    if name in BY_OPTION:
        return BY_OPTION[name].part(text.strip()).name
    kind = kind_of(name)
    takers = [*(kind.takers()[name].values() if kind else (every_option()[name],))]
    refused: RecipeError | None = None
    for each in sorted(takers, key=lambda each: _NARROWEST.index(each.base)):
        try:
            return each.parse(text)
        except RecipeError as error:
            refused = refused or error
    raise refused or RecipeError(f"`{name}` (={text!r}) cannot be read")
