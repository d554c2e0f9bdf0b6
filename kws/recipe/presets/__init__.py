"""Presets: recipes that are known by a name, each a TOML file of this folder.

Decisions:
- A preset is a starting point on the command line and no more: a recipe does not say that it was one. Two recipes are
  the same by their values, so that a run of `--preset best` and one of the same options typed out share a cell.
- A file says what its recipe is for and how it was found. What is searched is searched on the validation split.
- A seed, the place of the data and what decides bits alone are no part of a preset. The task may be another one, too:
  data sets tell tasks apart, and a recipe keeps its name on each.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from kws.errors import RecipeError
from kws.recipe.known import option_of
from kws.recipe.parts import BY_OPTION, NETWORK, TASK
from kws.recipe.pinned import place_and_digest
from kws.recipe.recipe import Recipe
from kws.recipe.wording import suggestion

_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named recipe: what it is for, how it was found in how many trials, and its options' values."""

    name: str
    title: str
    purpose: str
    found: str
    trials: int
    order: int
    options: Mapping[str, Any]

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, with the defaults of what the file leaves out. Raises RecipeError where it is none."""
        return Recipe.of(**self.options)

    def beside(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Its options, overridden by these."""
        return beside(self.options, given)


def beside(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a recipe beside those given, which override them.

    Where another part is given, what that part does not have is left out; of another network, all of it.
    """
    chosen = {**for_networks(options, (given.get(NETWORK.option, options[NETWORK.option]),)), **given}
    return {
        name: value
        for name, value in chosen.items()
        if name in given or name in BY_OPTION or option_of(name, chosen) is not None
    }


def for_networks(options: Mapping[str, Any], archs: Collection[str]) -> dict[str, Any]:
    """A preset's options, without those of its network where that is none of these, which mean other things by them."""
    part = NETWORK.parts.get(options[NETWORK.option])
    left_out = part.options if part and part.name not in archs else {}
    return {name: value for name, value in options.items() if name not in left_out}


@cache
def presets() -> dict[str, Preset]:
    """Every preset by its name, in their order."""
    found = [_read(file) for file in _HERE.glob("*.toml")]
    return {preset.name: preset for preset in sorted(found, key=lambda each: (each.order, each.name))}


def preset(name: str) -> Preset:
    """The preset of that name. Raises RecipeError, naming all, where there is none."""
    if name not in presets():
        raise RecipeError(f"`preset` (={name}) must be one of {', '.join(presets())}{suggestion(name, presets())}")
    return presets()[name]


def name_of(recipe: Recipe) -> str | None:
    """The name of the preset that a recipe is, whatever its seed, data, task and bits; None where it is none.

    Noise of the data set's own is the preset's, whichever recordings these are.
    """
    return _by_cell().get(replace(with_any_noise(recipe), task=_usual_task()).cell)


def with_any_noise(recipe: Recipe) -> Recipe:
    """The recipe with the data set's noise, whichever recordings these are; itself where it has none of them."""
    place, digest = place_and_digest(recipe.noise or "")
    return recipe.changed(noise=place) if digest and place == "dataset" else recipe


@cache
def _by_cell() -> dict[str, str]:
    found: dict[str, str] = {}
    for each in presets().values():
        found.setdefault(replace(each.recipe, task=_usual_task()).cell, each.name)
    return found


def _usual_task() -> Any:
    return TASK.part(TASK.default or "").config()


def _read(file: Path) -> Preset:
    told = tomllib.loads(file.read_text(encoding="utf-8"))
    values = {name: tuple(each) if isinstance(each, list) else each for name, each in told.pop("options").items()}
    told |= {name: " ".join(told[name].split()) for name in ("title", "purpose", "found")}
    return Preset(name=file.stem, options=values, **told)
