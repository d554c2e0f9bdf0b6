"""A recipe's options on the command line, made from what its parts and it declare (kws.recipe).

Each command has them in its own style: one value each for `train`, several for `sweep`, a range for `tune`. What an
option can be set to, its default and its help stand where it is declared, so that a part's file is all that adds one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from kws.cli import meant, options, sections
from kws.errors import RecipeError
from kws.recipe import (
    BY_OPTION,
    KINDS,
    NETWORK,
    OPTIMIZER,
    TASK,
    Kind,
    Option,
    Recipe,
    bases,
    current_name,
    dashed,
    every_option,
    kind_of,
    names,
    own,
    parse,
    plain,
)
from kws.recipe.parts import AUGMENTATION
from kws.recipe.presets import preset, presets
from kws.recipe.wording import suggestion

F = TypeVar("F", bound=Callable[..., Any])
ONE, SEVERAL, RANGE = "one", "several", "range"
Set = Annotated[
    list[str] | None,
    sections.recipe("--set", metavar="NAME=VALUE", help="Any option of a recipe by its name; may be repeated."),
]
SEARCHED = "adam"  # the optimizer of a search that names none
PRESET = "preset"  # the option whose values are those of a recipe that is known by a name
# Resolved where the command runs: typed values are not yet a recipe's.
_HERE: dict[str, Any] = {
    "data": options.Data, "speakers": options.Speakers, "pattern": options.Pattern, "align": options.Align,
    "threads": options.Threads, "device": options.Device,
}  # fmt: skip


def taking_recipe(
    style: str,
    *,
    of: Sequence[Kind | None] = (*KINDS, None),
    without: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Callable[[F], F]:
    """The command with --preset and the options of a recipe before its own; it gets them as `given`, by their names.

    Those are the options of parts `of` these kinds (None: of the recipe itself), but for those `without`, and `also`
    these.
    """

    def decorate(command: F) -> F:
        own = [
            each
            for each in inspect.signature(command, eval_str=True).parameters.values()
            if each.kind is not inspect.Parameter.VAR_KEYWORD
        ]

        def signature() -> inspect.Signature:
            every = [*_parameters(style, of, without, also), *own]
            return inspect.Signature([each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in every])

        command.signature = signature  # type: ignore[attr-defined]  # kws.cli asks for it, as parts may be added
        return command

    return decorate


def _parameters(
    style: str, of: Sequence[Kind | None], without: Sequence[str], also: Sequence[str]
) -> Iterator[inspect.Parameter]:
    if PRESET not in without:
        yield inspect.Parameter(PRESET, inspect.Parameter.KEYWORD_ONLY, annotation=_of_presets(), default=None)
    for name in names():
        wanted = name in also or (BY_OPTION.get(name) or kind_of(name)) in of
        if name in without or not wanted:
            continue
        if name in BY_OPTION:
            if len(BY_OPTION[name].parts) < 2:
                continue
            annotation = _of_kind(BY_OPTION[name], style)
        elif name in _HERE:
            several = style == SEVERAL and name == "data"
            annotation = options.SeveralData if several else _HERE[name]
        elif every_option()[name].hidden:
            continue
        else:
            annotation = _of_option(every_option()[name], style)
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=None)


def _of_presets() -> Any:
    help_text = "Start from a recipe that has a name; options beside it override its values."
    return Annotated[Literal[tuple(presets())] | None, sections.recipe(help=help_text)]


def _of_kind(kind: Kind, style: str) -> Any:
    by_default = f", by default {kind.default}" if kind.default else ""
    if kind == OPTIMIZER and style == RANGE:
        by_default = f"; by default {SEARCHED} alone, so that a search needs no more than a network"
    if kind == NETWORK:
        names = "|".join(map(dashed, kind.shipped))
        several = style == SEVERAL
        help_text = "The network, or several with a comma between them" if several else "The network"
        help_text = f"{help_text}; a file is a network of your own, whose code runs."
        file = sections.recipe(
            metavar=f"[{names}|FILE.py]",
            callback=None if several else _network,  # a plan says which of several is none
            autocompletion=_complete_network,
            help=help_text,
            show_default=False,
        )
        return Annotated[str | None, file]
    if style == ONE:
        option = typer.Option(
            parser=_part_of(kind),
            rich_help_panel=_section(kind.option),
            metavar=f"[{'|'.join(kind.dashed)}]",
            help=f"The {kind.name}{by_default}.",
            autocompletion=lambda incomplete: [name for name in kind.dashed if name.startswith(incomplete)],
        )
        return Annotated[Any | None, option]
    help_text = f"The {kind.name}, or several with a comma between them{by_default}."
    return Annotated[
        str | None, typer.Option(help=help_text, show_default=False, rich_help_panel=_section(kind.option))
    ]


def _section(name: str) -> str:
    """The section of a recipe's option: that which it declares, or that of its kind of part."""
    kind = BY_OPTION.get(name) or kind_of(name)
    if kind is None:
        return every_option()[name].section or sections.RECIPE
    if kind in (AUGMENTATION, TASK):
        return sections.DATA if kind == TASK else sections.AUGMENTATION
    if name in BY_OPTION or len(kind.takers()[name]) == len(kind.parts):
        return sections.RECIPE
    return sections.ONE_NETWORK if kind == NETWORK else sections.ONE_OPTIMIZER


def _part_of(kind: Kind) -> Callable[[str], str]:
    """What reads a part's name, in which dashes stand for underscores; a wrong one is a mistake in the command line."""

    def read(text: str) -> str:
        try:
            return kind.part(text).name
        except RecipeError:
            near = suggestion(text, kind.dashed)
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, kind.dashed))}{near}") from None

    return read


def _of_option(option: Option, style: str) -> Any:
    told = f"{option.help} {_defaults(option, style)}".strip()
    flags = [*(option.flags or [f"--{option.dashed}"]), *([f"--{option.old}"] if option.old else [])]
    about: dict[str, Any] = {
        "metavar": option.metavar, "help": told, "show_default": False, "rich_help_panel": _section(option.name),
    }  # fmt: skip
    if style == ONE and option.base is bool:
        if option.default:
            flags = [f"{flags[0]}/--no-{option.dashed}"]
        return Annotated[bool | None, typer.Option(*flags, **about | {"metavar": None})]
    if style == ONE:
        kind: Any = option.base if bases(option.name) == [option.base] and option.base is not tuple else str
        if option.choices:
            kind = Literal[option.choices]
        return Annotated[kind | None, typer.Option(*flags, **about)]
    if style == SEVERAL and option.base is tuple:
        return Annotated[list[str] | None, typer.Option(*flags, **about)]
    return Annotated[str | None, typer.Option(*flags, **about)]


def _network(context: typer.Context, text: str | None) -> str | None:
    """What --arch says, with a network's own name; a name that none has is a mistake in the command line."""
    return text if text is None or context.resilient_parsing else _known_or_file(text)


def _complete_network(incomplete: str) -> list[str]:
    """The names that begin so, after those that end in a comma."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in NETWORK.dashed if name.startswith(last)]


def _known_or_file(text: str) -> str:
    if re.fullmatch(".*@[0-9a-f]{8}", text):
        raise typer.BadParameter(
            f"{text!r} is what the network of a run's own is called; `kws runs show RUN --source > net.py` writes its "
            "file, which --arch takes"
        )
    if own.is_file(text):
        return text
    try:
        return NETWORK.part(text).name
    except RecipeError:
        choices = ", ".join(map(repr, NETWORK.dashed))
        near = suggestion(text, NETWORK.dashed)
        raise typer.BadParameter(f"{text!r} is not one of {choices}, nor a file that ends in .py{near}") from None


def _split(text: str) -> list[str]:
    """The networks in "a,b"; a file whose path has a comma is one, too."""
    return [text] if own.is_file(text) and Path(text).is_file() else [each.strip() for each in text.split(",")]


def _defaults(option: Option, style: str) -> str:
    """An option's defaults, and which parts alone have it."""
    kind = kind_of(option.name)
    if style == RANGE and option.search:
        values: dict[str, str] = {"": option.search}
        takers = kind.takers()[option.name] if kind else {}
    elif kind is None:
        return "" if option.default is None else f"By default {plain(option.default)}."
    else:
        takers = kind.takers()[option.name]
        found = {part: plain(each.default) for part, each in takers.items() if each.default not in (None, ())}
        values = found if len(set(found.values())) > 1 else {"": next(iter(found.values()))} if found else {}
    by_default = ", ".join(f"{value} for {dashed(part)}" if part else value for part, value in values.items())
    is_for_all = kind is None or kind.several or len(takers) == len(kind.parts)
    only = "" if is_for_all else f"; {' and '.join(map(dashed, takers))} only"
    if not values or (option.base is bool and values.get("") == "no"):
        return f"For {only.removeprefix('; ')}." if only else ""
    return f"By default {by_default}{only}."


def chosen(
    given: Mapping[str, Any], settings: Iterable[str] | None, *, needs: Sequence[str] = (), context: Any = None
) -> dict[str, Any]:
    """The values of a recipe that were given as options of their own, one each, and by --set; else the preset's.

    Where the network is a file, its code runs. Raises BadParameter where one that the command `needs` is missing.
    """
    given, settings = _with_files_read(given, settings, several=False)
    found = {name: _value(name, value) for name, value in given.items() if value is not None and name != PRESET}
    found |= {name: _parsed(name, text, found) for name, text in settings_of(settings, found).items()}
    if given.get(PRESET):
        found = preset(given[PRESET]).beside(found)
    for name in needs:
        if name not in found:
            raise typer.BadParameter(needed(name, context), ctx=context)
    return found


def needed(name: str, context: Any) -> str:
    """What to say where the option of a network or an optimizer is missing."""
    return f"{context.command.name if context else 'this'} {lacking(name)}"


def lacking(name: str) -> str:
    """What to say of a command that needs a network or an optimizer, but for its name."""
    kind = BY_OPTION[name]
    some = f"{', '.join(kind.dashed)}{', or a file with a network' if kind is NETWORK else ''}"
    return f"needs --{name}: {some}; or --preset, which has one"


def typed(
    given: Mapping[str, Any], settings: Iterable[str] | None, *, several_networks: bool = False
) -> dict[str, Any]:
    """What was typed, by name, for commands whose options take more than one value: texts, where not resolved here.

    Where networks are files, their code runs, and their names stand for them.
    """
    given, settings = _with_files_read(given, settings, several=several_networks)
    found = {name: value for name, value in given.items() if value is not None}
    texts = settings_of(settings, found)
    return found | {name: parse(name, text) if name in _HERE else text for name, text in texts.items()}


def resolved(given: Mapping[str, Any], *, jobs: int = 1, on_cluster: bool = False) -> dict[str, Any]:
    """The place of the data, threads and device, from what was typed; `jobs` runs share the cores.

    A cluster's nodes have GPUs of their own, whatever this machine has; they are used if --device cuda asks for them.
    """
    device = given.get("device") or options.AUTO
    return {
        "data": options.chosen_data(given.get("data")),
        "speakers": given.get("speakers") or None,
        "pattern": given.get("pattern") or None,
        "align": given.get("align") or Recipe.align,
        "threads": options.chosen_threads(given.get("threads"), jobs),
        "device": ("cuda" if device == "cuda" else "cpu") if on_cluster else options.chosen_device(device),
    }


def _with_files_read(
    given: Mapping[str, Any], settings: Iterable[str] | None, *, several: bool
) -> tuple[dict[str, Any], list[str]]:
    """The same, with the names that networks have in this process in place of their files."""

    def read(text: str) -> str:
        named = (each.strip() for each in (_split(text) if several else [text]))
        return ",".join(own.read(each).name if own.is_file(each) else each for each in named)

    found, texts = {**given}, []
    if found.get(NETWORK.option) is not None:
        found[NETWORK.option] = read(found[NETWORK.option])
    for each in settings or ():
        name, equals, text = each.partition("=")
        texts.append(f"{name}={read(text)}" if equals and name.strip() == NETWORK.option else each)
    return found, texts


def _parsed(name: str, text: str, found: Mapping[str, Any]) -> Any:
    """The value of an option, as the network of the user's own declares it, or else as any part does."""
    part = NETWORK.parts.get(found.get(NETWORK.option, ""))
    is_own = isinstance(part, own.OwnNetwork) and name in part.options
    return part.options[name].parse(text) if part and is_own else parse(name, text)


def _value(name: str, value: Any) -> Any:
    each = every_option().get(name)
    is_text = each and isinstance(value, str) and bases(name) != [str]
    return parse(name, value) if is_text else value


def _named(name: str) -> str:
    """The name that an option has now. Raises RecipeError where there is none, naming what was meant."""
    try:
        return current_name(name)
    except RecipeError:
        found = meant.option(f"--{name.replace('_', '-')}", [f"--{each.replace('_', '-')}" for each in names()])
        if found is None:
            raise
        near = found.removeprefix("--").replace("-", "_")
        raise RecipeError(f"there is no option `{name}`; did you mean {near}?") from None


def settings_of(settings: Iterable[str] | None, given: Mapping[str, Any]) -> dict[str, str]:
    """What --set says, by name. Raises RecipeError for what is no NAME=VALUE, or was given as an option, too."""
    found: dict[str, str] = {}
    for each in settings or ():
        name, equals, text = each.partition("=")
        if not equals:
            raise RecipeError(f"--set {each!r} must be NAME=VALUE, as in --set learning_rate=0.1")
        name = _named(name.strip())
        if given.get(name) is not None or name in found:
            raise RecipeError(f"`{name}` is given twice; leave out one of both")
        found[name] = text
    return found
