"""Listing: what a data source holds at this moment, and the folder that its features are cached in.

Features are named by what they depend on: what the clips' files hold, their names, labels and splits, the front end,
and the versions of the libraries that decode and transform. Listing 12,000 clips that were seen before takes a quarter
of a second and does not need torch, so that one process can do it for several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kws.errors import DataError
from kws.speech import digests
from kws.speech.cache import cache_folder
from kws.speech.folder import Clip, draw_classes, list_clips
from kws.speech.front_end import FRONT_END
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source, locate

_FORMAT = 2  # changes when older cached features can no longer be read, or would come out different


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
        return Listing(source, (), (), _key_of_files(source.folder, words, track))
    classes, clips = draw_classes(list_clips(source.folder), words, source.folder)
    held = digests.of_files(source.folder, [(clip.path, clip.stamp) for clip in clips], track=track)
    return Listing(source, classes, clips, _key_of_clips(classes, clips, held, skip_unreadable))


def features_folder(key: str) -> Path:
    """Where the features with that name lie, or would lie."""
    return cache_folder() / "features" / key


def _key_of_clips(classes: tuple[str, ...], clips: Sequence[Clip], held: Sequence[bytes], skip_unreadable: bool) -> str:
    depends = [_FORMAT, classes, skip_unreadable, FRONT_END.describe(), _versions()]
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode())
    for clip, content in zip(clips, held, strict=True):
        line = f"{clip.split}/{clip.label}/{clip.word}/{clip.file_name}\0{clip.speaker}\0"
        digest.update(line.encode("utf-8", "surrogateescape") + (content or b"unreadable"))
    return digest.hexdigest()[:32]


def _key_of_files(folder: Path, words: tuple[str, ...], track: Track) -> str:
    try:
        files = sorted((str(file), digests.Stamp.of(file.stat())) for file in folder.glob("*.p"))
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror})") from None
    held = digests.of_files(folder, files, track=track)
    names = [Path(path).name for path, _ in files]
    digest = hashlib.sha256(json.dumps([_FORMAT, words, names]).encode())
    digest.update(b"".join(content or b"unreadable" for content in held))
    return digest.hexdigest()[:32]


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "soundfile", "soxr")}
