"""Background noise: which recordings clips are mixed with in training.

Decisions:
- They are those in the data set's folder `_background_noise_`, or in a folder that is named, and in the folders below.
- `exercise_bike` and `pink_noise`, two of the six recordings of Speech Commands, are never among them, whatever folder
  is named: nothing is trained on them, so that streams with noise that no network has heard can be made of them.
- A recipe names the recordings by their place and a digest of their content, as in `dataset@4f2a91c3d0e1`: a run with
  other recordings in the same place is another recipe, and no run is gone on with beside other recordings than it had.
  The digest is over content alone: names and order do not count.
- `builtin` is noise that is made up (see kws.speech.builtin_noise), for clips without recordings of noise beside them.
  Nobody gets it without asking: `dataset` means recordings of the data set's, or an error that names it.
- Arrays have no such recordings, and none can be mixed with them. The built-in speech has made-up noise of its own.

Without torch, as for listings: a sweep's recipes are compared with the registry before torch is imported.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from kws.errors import DataError
from kws.events import NOISE
from kws.recipe import Recipe
from kws.recipe.pinned import place_and_digest
from kws.speech import builtin_noise, digests, synthetic, synthetic_noise
from kws.speech.cache import cache_folder
from kws.speech.decode import SUFFIXES
from kws.speech.silence import HELD_OUT
from kws.speech.sources import locate

NONE, DATASET, BUILTIN = "none", "dataset", "builtin"
_ELSE = (
    "take noise that is made up: --noise builtin; or name a folder of recordings of noise, as in --noise "
    "path/to/noise, or train without: --noise none"
)


def pinned(value: str, data: str) -> str:
    """The value of a recipe's `noise` with the digest of the recordings that it stands for now.

    Itself for "none" and where it has a digest already; whether the recordings have it is found out where they are
    read. Raises DataError where there are none.
    """
    if value == NONE or place_and_digest(value)[1]:
        return value
    place = value if value in (DATASET, BUILTIN) else str(Path(value).expanduser().absolute())
    _, digest = _found(place, data)
    return f"{place}@{digest}"


def of_recipes(recipes: Iterable[Recipe]) -> list[Recipe]:
    """The same recipes, with the digests of the recordings that their `noise` stands for. Raises DataError."""
    known: dict[tuple[str, str], str] = {}
    made = []
    for recipe in recipes:
        value = recipe.noise or NONE
        about = value, recipe.data
        if about not in known:
            known[about] = pinned(*about)
        made.append(recipe if known[about] == value else recipe.changed(noise=known[about]))
    return made


def recordings(value: str, data: str) -> tuple[tuple[str, ...], str]:
    """The recordings that a recipe's `noise` stands for, ordered by content, and their digest.

    Raises DataError where there are none, and where the value has a digest that is not theirs.
    """
    place, wanted = place_and_digest(value)
    files, digest = _found(place, data)
    if wanted and digest != wanted:
        raise DataError(
            f"`noise` (={value}) names other recordings than those that are there now ({digest}); "
            f"put those back, or train with these as a new run: --noise {place}"
        )
    return files, digest


def _found(place: str, data: str) -> tuple[tuple[str, ...], str]:
    """The recordings in a place, ordered by content, and their digest."""
    if place == DATASET and data == synthetic.NAME:
        folder = synthetic_noise.folder(cache_folder())
    else:
        source = locate(data)
        if source.is_arrays:
            raise DataError(
                f"noise can be mixed with recordings only, and {source.folder} holds arrays; "
                "train without: --noise none, or give --data a folder of recordings"
            )
        if place == BUILTIN:
            folder = builtin_noise.folder(cache_folder())
        else:
            folder = source.noise if place == DATASET else Path(place)
    if not folder.is_dir():
        what = f"{folder.parent} has no folder {NOISE}" if place == DATASET else f"there is no folder {place}"
        raise DataError(f"{what}; {_ELSE}")
    return recordings_in(folder, _ELSE)


def recordings_in(folder: Path, otherwise: str) -> tuple[tuple[str, ...], str]:
    """The recordings in a folder and those below it that may be trained on, ordered by content, and their digest.

    Raises DataError where there are none; it says what else to do as `otherwise` has it.
    """
    try:
        files = [(str(path), digests.Stamp.of(path.stat())) for path in _walk(folder)]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}); repair or delete it") from None
    if not files:
        raise DataError(
            f"{folder} holds no recordings that may be trained on ({' and '.join(HELD_OUT)} may not); {otherwise}"
        )
    held = sorted(zip(digests.of_files(folder, files), (path for path, _ in files), strict=True))
    return tuple(path for _, path in held), hashlib.sha256(b"".join(each for each, _ in held)).hexdigest()[:12]


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for file in (Path(place) / name for name in files):
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and _may_be_trained_on(file):
                yield file


def _may_be_trained_on(file: Path) -> bool:
    return file.stem.lower() not in HELD_OUT
