"""Config: what one part of a recipe can be set to, declared once where the part is.

A Config is a frozen dataclass. Each of its fields is an option: its name, type and default are the dataclass's, and
option() adds what else is known of it. Everything that deals with options reads them from here: the command line,
`--set`, the registry's JSON and its view, labels, `--rows` and `--columns`, the axes of sweeps and searches.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from kws.errors import RecipeError
from kws.recipe.wording import suggestion

MOST = 2**31 - 1  # of a number of things
SEED, PLACE = "seed", "place"
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
NEVER: Any = object()  # no run is older than the option
_METADATA = "kws"


def option(default: Any, help: str = "", **about: Any) -> Any:  # noqa: A002 - as in Typer
    """A field of a Config; `about` may be any of Option's own fields, from `absent` on."""
    return dataclasses.field(default=default, metadata={_METADATA: {"help": help, **about}})


@dataclass(frozen=True, kw_only=True)
class Option:
    """One field of a Config, and all that is known of it."""

    name: str
    base: type  # int, float, bool, str or tuple
    of: type  # what a tuple holds, else the same
    optional: bool  # whether it may be None
    default: Any
    help: str = ""
    absent: Any = NEVER  # the value of a run that is older than the field; never today's default
    check: Callable[[str, Any], None] | None = None  # raises RecipeError for a value that cannot be
    read: Callable[[str], Any] | None = None  # a value from text, where its type alone does not say how
    choices: tuple[str, ...] = ()
    label: str = ""  # what it is called beside a value, or instead of one that is true or false
    old: str = ""  # the name that it had in version 0.1.0
    flags: tuple[str, ...] = ()  # the command line's, where they are not made of the name
    metavar: str | None = None
    role: str = ""  # SEED; or PLACE, which says where clips are, and the data's fingerprint which they are
    bits: str = ""  # for one that decides the last bits of a result and nothing else: what several values are called
    condition: bool = False  # whether runs that differ in it never share a table
    search: str = ""  # the range that `kws tune` searches by default
    log: bool = False  # whether a search draws it by powers of ten
    hidden: bool = False  # left to --set
    section: str = ""  # of a command's help, where it is not that of its kind of part

    def require(self, value: Any) -> None:
        """Raise RecipeError for a value that this option cannot have."""
        if value is self.default or (value is None and self.optional):
            return
        items = value if isinstance(value, tuple) and self.base is tuple else (value,)
        right = (int, float) if self.of is float else (self.of,)
        if isinstance(value, tuple) != (self.base is tuple) or not all(isinstance(each, right) for each in items):
            raise RecipeError(f"`{self.name}` (={value!r}) must be {self._kind()}")
        if self.of is not bool and any(isinstance(each, bool) for each in items):
            raise RecipeError(f"`{self.name}` (={value!r}) must be {self._kind()}")
        if any(isinstance(each, str) and "\0" in each for each in items):
            raise RecipeError(f"`{self.name}` (={value!r}) may not hold a NUL character")
        if self.choices and value not in self.choices:
            near = suggestion(str(value), self.choices)
            raise RecipeError(f"`{self.name}` (={value}) must be one of {', '.join(self.choices)}{near}")
        if self.check:
            self.check(self.name, value)
        for each in items:
            if isinstance(each, int) and abs(each) > MOST and self.role != SEED:
                raise RecipeError(f"`{self.name}` (={each}) must be below 2^31")
            if isinstance(each, float) and not math.isfinite(each):
                raise RecipeError(f"`{self.name}` (={each}) must be a finite number")

    def exact(self, value: Any) -> Any:
        """The value in the option's own type: 1 and 1.0 are one value, and one text."""
        if self.base is tuple and self.of is float and value is not None:
            return tuple(map(float, value))
        return float(value) if self.base is float and isinstance(value, int) else value

    def parse(self, text: str) -> Any:
        """The value in a text. Raises RecipeError for what is none."""
        if self.read:
            return self.read(text)
        try:
            if self.base is tuple:
                return tuple(_PARSE[self.of](part.strip()) for part in text.split(","))
            return _PARSE[self.base](text.strip())
        except (ValueError, KeyError):
            raise RecipeError(f"`{self.name}` (={text!r}) must be {self._kind()}") from None

    def _kind(self) -> str:
        if self.base is not tuple:
            return {int: "a whole number", float: "a number", bool: "yes or no"}.get(self.base, "text")
        example = f", as in --{self.dashed} {plain(self.default)}" if self.default else ""
        return f"{'words' if self.of is str else 'numbers'} with a comma between them{example}"

    @property
    def dashed(self) -> str:
        """Its name as the command line has it."""
        return self.name.replace("_", "-")

    @property
    def spaced(self) -> str:
        """Its name as people read it."""
        return self.name.replace("_", " ")

    def told(self, value: Any, texts: Mapping[float, str] | None = None) -> str:
        """The value with what it is called; numbers as `texts` writes them, else with all their digits."""
        if isinstance(value, bool):
            return (self.label or self.spaced) if value else f"no {self.label or self.spaced}"
        return f"{self.label or self.spaced} {(texts or {}).get(value) or plain(value)}"

    def from_json(self, value: Any) -> Any:
        """The value that JSON has."""
        return tuple(value) if self.base is tuple and isinstance(value, list) else value


_PARSE: dict[type, Callable[[str], Any]] = {
    int: int, float: float, str: str, bool: lambda text: _WORDS[text.lower()],
}  # fmt: skip


class Config:
    """The base of every Config: its values are checked when it is made. Raises RecipeError, naming the option."""

    NAME = ""  # of the part that it belongs to
    SHA256 = ""  # of the source of a network that is the user's own

    def __post_init__(self) -> None:
        own: Any = type(self)
        for each in options(own):
            value = getattr(self, each.name)
            if each.base is int and isinstance(value, float) and value.is_integer():  # parts may share a name
                object.__setattr__(self, each.name, value := int(value))
            each.require(value)
            object.__setattr__(self, each.name, each.exact(value))

    def values(self) -> dict[str, Any]:
        """Its options' values by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]


@cache
def options(config: Any) -> tuple[Option, ...]:
    """The options of a Config's class, in their order. Raises TypeError for a type that no option can have."""
    hints = get_type_hints(config, localns=getattr(config, "NAMESPACE", None))
    fields = dataclasses.fields(config)
    return tuple(_option(field, hints[field.name]) for field in fields if hints[field.name] is not Any)


def _option(field: dataclasses.Field[Any], hint: Any) -> Option:
    hints = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    (kind,) = (each for each in hints if each is not NoneType)
    base = get_origin(kind) or kind
    of = get_args(kind)[0] if base is tuple else base
    if of not in _PARSE:
        raise TypeError(f"the option {field.name} has the type {hint}, which no option can have")
    about = field.metadata.get(_METADATA, {})
    return Option(
        name=field.name, base=base, of=of, optional=NoneType in hints, default=field.default, **about
    )  # fmt: skip


def plain(value: Any) -> str:
    """A value as an option takes it."""
    if isinstance(value, tuple | list):
        return ",".join(map(plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def at_least(field: str, value: float, least: float) -> None:
    """Raise RecipeError, naming the field and its value, unless value is at least `least`."""
    if value < least:
        raise RecipeError(f"`{field}` (={value}) must be at least {least}")


def count(field: str, value: Any) -> None:
    """A check: one or more; of a tuple, each of its numbers, and one number or more."""
    if value == ():
        raise RecipeError(f"`{field}` (=()) must hold a number or more, or be left out")
    for each in value if isinstance(value, tuple) else (value,):
        at_least(field, each, 1)


def above_zero(field: str, value: float) -> None:
    """A check: a number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise RecipeError(f"`{field}` (={value}) must be a number above 0")


def not_negative(field: str, value: float) -> None:
    """A check: a number of at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise RecipeError(f"`{field}` (={value}) must be a number of at least 0")


def share(field: str, value: float) -> None:
    """A check: above 0 and at most 1."""
    if not 0 < value <= 1:
        raise RecipeError(f"`{field}` (={plain(value)}) must be above 0 and at most 1, as in 0.97")


def below_one(field: str, value: float) -> None:
    """A check: at least 0 and below 1."""
    if not 0 <= value < 1:
        raise RecipeError(f"`{field}` (={value}) must be at least 0 and below 1")
