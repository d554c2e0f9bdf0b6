"""Pretrained: the run whose network a recipe starts from (`--from`), and its weights.

Decisions:
- "RUN" is a run of the registry that the new run is kept in, "FILE:RUN" one of another registry file.
- A recipe names it by its id and a digest of its weights, as in "dpghnmcw@4f2a91c3d0e1": other weights make another
  recipe, and nothing is trained from weights that are not those.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.errors import RecipeError
from kws.events import keywords_of
from kws.recipe import BY_OPTION, TASK, kind_of, own_options
from kws.recipe.pinned import place_and_digest
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kws.recipe import Recipe
    from kws.registry.location import Location
    from kws.registry.runs import Run

NONE = "none"
MOST = 100_000  # parameters of a network to start from: more would be slow to train, and large to ship
SYNTHETIC = "synthetic"  # the name of the built-in speech, as in kws.speech.synthetic
_LETTERS = 12  # of the digest


@dataclass(frozen=True)
class Pretrained:
    """A run, its weights as a safetensors file, and its classes."""

    run: Run
    weights: bytes
    classes: tuple[str, ...]
    file: str = ""  # the registry that it is in, absolute, where that is not the one of the new run

    @property
    def digest(self) -> str:
        """The beginning of the SHA-256 of its weights."""
        return hashlib.sha256(self.weights).hexdigest()[:_LETTERS]

    @property
    def name(self) -> str:
        """What a recipe calls it, with its digest."""
        return f"{self.file}:{self.run.id}@{self.digest}" if self.file else f"{self.run.id}@{self.digest}"


def of(value: str, db: Location) -> Pretrained | None:
    """What a recipe's `pretrained` names; None for "none".

    Raises RegistryError for a run that is not there or has no weights, and RecipeError for one that has others than the
    value's digest says.
    """
    if value == NONE:
        return None
    place, wanted = place_and_digest(value)
    file, _, reference = place.rpartition(":")
    if "://" in file:
        raise RecipeError(f"`pretrained` (={value}) names a run in a registry file, or one of --db")
    try:
        path = Path(file).expanduser() if file else None
    except RuntimeError:  # ~ names nobody
        raise RecipeError(f"`pretrained` (={value}) names the folder of a user that is not there") from None
    with RegistryReader(path or db) as registry:
        run = registry.run(reference)
        classes = registry.card(run.data_fingerprint).classes
        found = Pretrained(run, registry.weights(run.id), classes, str(path.absolute()) if path else "")
    if wanted and found.digest != wanted:
        raise RecipeError(
            f"`pretrained` (={value}) names other weights than run {run.id} has ({found.digest}); name that run anew"
        )
    return found


def pinned(recipes: Iterable[Recipe], db: Location) -> list[Recipe]:
    """The same recipes, with the whole ids of such runs and the digests of their weights. Raises as of() does."""
    named: dict[str, str] = {}
    made = []
    for recipe in recipes:
        value = recipe.pretrained
        if value not in named:
            named[value] = _pinned(value, db)
        made.append(recipe if named[value] == value else recipe.changed(pretrained=named[value]))
    return made


def _pinned(value: str, db: Location) -> str:
    if value == NONE or place_and_digest(value)[1]:
        return value
    found = of(value, db)
    assert found
    return found.name


def options_of(found: Pretrained) -> dict[str, Any]:
    """The options of the recipe of such a run, but for those of its data, which another has.

    Raises RecipeError for a network of the user's own, whose file must be given.
    """
    recipe = found.run.recipe
    if recipe.source:
        raise RecipeError(f"run {found.run.id} has a network of its own, whose code is to be given: --arch FILE.py")
    of_others = {each.name for each in own_options()} - {"epochs", "batch_size"}
    return {
        name: each
        for name, each in recipe.values.items()
        if each is not None
        and name not in (*of_others, *recordings_of(found))
        and (BY_OPTION.get(name) or kind_of(name)) is not TASK
    }


def richest(db: Location) -> str | None:
    """The finished run that tells the most words of recordings apart, of those most accurate on validation; or None.

    Networks of kws alone count that have weights and at most MOST parameters, and were not trained on built-in speech:
    what was learned from people helps with people.
    """
    from kws.registry.opening import is_new

    if is_new(db):
        return None
    with RegistryReader(db) as registry:
        found = []
        for run in registry.runs():
            recipe = run.recipe
            if run.status != FINISHED or run.parameters > MOST or recipe.source or recipe.pretrained != NONE:
                continue
            if recipe.data != SYNTHETIC and (card := registry.card(run.data_fingerprint)).front_end:
                found.append((len(keywords_of(card.classes)), run.validation_accuracy or 0.0, run.started_at, run.id))
        return next((run for *_, run in sorted(found, reverse=True) if registry.weights_digest(run)), None)


def recordings_of(found: Pretrained) -> dict[str, str]:
    """The options by which such a run was trained with recordings, as noise, that are pinned; by their places."""
    values = ((name, place_and_digest(each)) for name, each in found.run.recipe.values.items() if isinstance(each, str))
    return {name: place for name, (place, digest) in values if digest and name != "pretrained"}
