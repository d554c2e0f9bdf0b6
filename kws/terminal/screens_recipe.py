"""Prints a recipe on the terminal: its values, where each is from, and the command that has all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from rich.text import Text

from kws.recipe import plain
from kws.recipe.presets import Preset, for_networks
from kws.terminal.console import out, paragraph, visible
from kws.terminal.screens import table_of


def print_recipe(
    values: Mapping[str, Any], name: str | None, start: Preset | None, typed: Collection[str], command: str
) -> None:
    """Print a recipe's values, which start from a preset or the defaults, and which of them were `typed`.

    `name` is that of the preset that the recipe is in the end, None where it is none.
    """
    console = out()
    if start:
        paragraph(console, f"{start.name}: {start.title}")
        paragraph(console, start.purpose)
        paragraph(console, f"{start.found} Trials: {start.trials:,}.")
    lent = for_networks(start.options, (values["arch"],)) if start else {}
    drawn = table_of("option", "value", "from")
    for option, value in values.items():
        origin = "typed" if option in typed else f"preset {start.name}" if start and option in lent else ""
        drawn.add_row(option, Text(visible(plain(value))), origin or "default")
    console.print(drawn)
    if start and name != start.name:
        now = f"the preset {name}" if name else "a recipe of its own"
        paragraph(console, f"With what was typed it is no longer the preset {start.name}, but {now}.")
    console.print(_for_a_shell(visible(command), console.width), soft_wrap=True)


def _for_a_shell(command: str, width: int) -> str:
    """A command that a shell understands, broken before its options where a line has no room for them."""
    lines = [""]
    for option in re.split(r" (?=--)", command):
        joined = f"{lines[-1]} {option}" if lines[-1] else option
        if lines[-1] and len(joined) > width - 2:
            lines += [f"  {option}"]
        else:
            lines[-1] = joined
    return " \\\n".join(lines)
