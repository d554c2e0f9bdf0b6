"""Further clips of "other": a folder of recordings, as `kws mine` writes it, that a recipe trains on besides its data.

Decisions:
- They are all recordings in the folder and in the folders below, of longer ones the second that the recipe says. Their
  names count for nothing, but for a folder named after a word that is left out, which is refused.
- A recipe names them by their place and a digest of their content, as it does noise (see kws.speech.noise). Where one
  is longer than a second and not its first is used, the digest is of that, too: other seconds make another recipe.
- They are no part of the data set: its fingerprint, its splits and how features are normalised stay as they are.
- A clip that is the same sound as one of the validation or test split, or of a word that is left out, is refused.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import DataError
from kws.events import TEST, VALIDATION
from kws.recipe import FIRST
from kws.recipe.pinned import place_and_digest
from kws.speech import noise
from kws.speech.decode import duration_ms, read_recording
from kws.speech.unheard import is_form_of_any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kws.speech.dataset import Dataset

NONE = "none"
_ELSE = "name a folder of clips, as `kws mine` writes it, or train without: --also none"


def pinned(value: str, align: str = FIRST) -> str:
    """The value of a recipe's `also` with the digest of its clips. Raises DataError where there are none.

    `align` is which second of longer ones is used.
    """
    if value == NONE or place_and_digest(value)[1]:
        return value
    place = str(Path(value).expanduser().absolute())
    return f"{place}@{_found(place, align)[1]}"


def features(value: str, loaded: Dataset, leave_out: Sequence[str], align: str = FIRST) -> Tensor:
    """The features (N, T, M) of the clips that a recipe's `also` stands for, on the scale of its data set.

    `align` is which second of longer ones is used.

    Raises DataError where they are other clips than the value's digest says, and for clips that must not be trained on.
    """
    place, wanted = place_and_digest(value)
    files, digest = _found(place, align)
    if wanted and digest != wanted:
        raise DataError(
            f"`also` (={value}) names other clips than those that are there now ({digest}); put those back, or train "
            f"with these as a new run: --also {place}"
        )
    for file in files:
        words = Path(file).relative_to(place).parts[:-1]
        if word := next((each for each in words if is_form_of_any(each, leave_out)), None):
            raise DataError(f"`also` (={place}) has clips of {word!r}, which is left out of training; remove them")
    computed, digests = _computed(files, digest, align)
    parts = [loaded.card.manifests[split] for split in (VALIDATION, TEST)]
    if loaded.unheard:
        parts += loaded.unheard.card.manifests.values()
    held_out = {each: path for part in parts for each, path in zip(part.each_digest(), part.paths, strict=True)}
    for file, each in zip(files, digests, strict=True):
        if each in held_out:
            raise DataError(
                f"{file} is the same sound as {held_out[each]}, which is never trained on; remove it from the folder"
            )
    return (computed - loaded.card.mean) / loaded.card.std


def _found(place: str, align: str) -> tuple[tuple[str, ...], str]:
    if not Path(place).is_dir():
        raise DataError(f"there is no folder {place}; {_ELSE}")
    files, digest = noise.recordings_in(Path(place), _ELSE)
    if align != FIRST and any(duration_ms(Path(file)) > 1000 for file in files):
        digest = hashlib.sha256(f"{digest} {align}".encode()).hexdigest()[: len(digest)]
    return files, digest


@lru_cache(2)
def _computed(files: tuple[str, ...], _: str, align: str) -> tuple[Tensor, list[bytes]]:
    """The log-mel features (N, T, M) of recordings that have a digest, and the digest of what is heard of each."""
    import torch

    from kws.speech.features import log_mel

    waveforms = [read_recording(Path(file), align=align).waveform for file in files]
    digests = [hashlib.sha256(waveform.data).digest() for waveform in waveforms]
    return torch.cat([log_mel(torch.from_numpy(waveform).unsqueeze(0)) for waveform in waveforms]), digests
