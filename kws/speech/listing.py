"""Listing: what a data source holds at this moment, and the folder that its features are cached in.

Features are named by what they depend on: the clips' names, sizes and times of change, their labels and splits, the
front end, and the versions of the libraries that decode and transform. Listing 12,000 clips takes a sixth of a second
and does not need torch, so that one process can do it for several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kws.errors import DataError
from kws.speech.cache import cache_folder
from kws.speech.folder import Clip, draw_classes, list_clips
from kws.speech.front_end import FRONT_END
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source, locate

_FORMAT = 1  # changes when older cached features can no longer be read, or would come out different


@dataclass(frozen=True)
class Listing:
    """A source, its classes and clips, in order (none of either for the course's arrays), and its features' name."""

    source: Source
    classes: tuple[str, ...]
    clips: Sequence[Clip]
    key: str


def list_source(
    data: str, words: tuple[str, ...], *, skip_unreadable: bool = False, track: Track = untracked
) -> Listing:
    """What the source that `data` names holds. Raises DataError for what cannot be used."""
    source = locate(data, track=track)
    if source.is_arrays:
        return Listing(source, (), (), _key_of_files(source.folder, words))
    classes, clips = draw_classes(list_clips(source.folder), words, source.folder)
    return Listing(source, classes, clips, _key_of_clips(classes, clips, skip_unreadable))


def features_folder(key: str) -> Path:
    """Where the features with that name lie, or would lie."""
    return cache_folder() / "features" / key


def _key_of_clips(classes: tuple[str, ...], clips: Sequence[Clip], skip_unreadable: bool) -> str:
    depends = [_FORMAT, classes, skip_unreadable, FRONT_END.describe(), _versions()]
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode())
    for clip in clips:
        line = f"{clip.split}/{clip.label}/{clip.word}/{clip.file_name}\0{clip.size}/{clip.modified_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _key_of_files(folder: Path, words: tuple[str, ...]) -> str:
    try:
        files = sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in folder.glob("*.p"))
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror})") from None
    return hashlib.sha256(json.dumps([_FORMAT, words, files]).encode()).hexdigest()[:32]


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "soundfile", "soxr")}
